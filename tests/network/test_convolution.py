"""Convolutions against loops that follow the definition, in blocks of every size, and settings that do not fit."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raydient.spec.errors import InvalidSpec
from raydient.workers.network import Program, random_batch
from raydient.workers.network.layers.convolution import depthwise, im2col, pointwise
from raydient.workers.network.layers.convolution.depthwise import Depthwise
from raydient.workers.network.layers.convolution.gemm import Gemm
from raydient.workers.network.layers.convolution.pointwise import Pointwise

from .training_step import step

PADDINGS = ["valid", "same", {"explicit": {"before": [2, 1], "after": [0, 3]}}]


def around(size, kernel, stride, dilation, padding, axis):
    """Return the padding before and after an image; for `same` by the formula of TensorFlow."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        extent = (kernel - 1) * dilation + 1
        total = max(extent - stride, 0) if size % stride == 0 else max(extent - size % stride, 0)
        return total // 2, total - total // 2
    return padding["explicit"]["before"][axis], padding["explicit"]["after"][axis]


def naive(x, kernel, bias, strides, padding, dilations, groups):
    """Compute z of a two-dimensional convolution, output by output; x is (rows, height, width, channels)."""
    kernel_size, (_, channels, filters) = kernel.shape[:2], kernel.shape[1:]
    widths = [
        around(*numbers, padding, axis)
        for axis, numbers in enumerate(zip(x.shape[1:3], kernel_size, strides, dilations, strict=True))
    ]
    x = np.pad(x, [(0, 0), *widths, (0, 0)])
    extents = [(k - 1) * d + 1 for k, d in zip(kernel_size, dilations, strict=True)]
    height, width = (range(0, n - e + 1, s) for n, e, s in zip(x.shape[1:3], extents, strides, strict=True))
    z = np.zeros((len(x), len(height), len(width), filters))
    for (p, top), (q, left), f in product(enumerate(height), enumerate(width), range(filters)):
        first = f // (filters // groups) * channels
        z[:, p, q, f] = bias[f]
        for i, j, c in product(*map(range, (*kernel_size, channels))):
            z[:, p, q, f] += x[:, top + i * dilations[0], left + j * dilations[1], first + c] * kernel[i, j, c, f]
    return z


SIZES = {
    Gemm: st.sampled_from([(1, 1, 1), (1, 2, 2), (1, 3, 1), (2, 5, 4), (2, 2, 9)]),
    Pointwise: st.sampled_from([(1, 1, 1), (1, 2, 2), (1, 1, 3), (2, 5, 4), (2, 2, 9)]),
    Depthwise: st.tuples(st.integers(2, 3), st.integers(1, 3), st.integers(1, 3)),
}
"""Groups, and channels and filters of each group, for which an algorithm is chosen."""


@st.composite
def convolutions(draw, algorithm):
    """Draw settings and the shape of an image that fits them."""
    pair = st.just((1, 1)) if algorithm is Pointwise else st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups, channels, filters = draw(SIZES[algorithm])
    kernel_size, strides, dilations = draw(pair), draw(pair), draw(pair)
    height, width = ((k - 1) * d + 1 + draw(st.integers(0, 4)) for k, d in zip(kernel_size, dilations, strict=True))
    options = {
        "filters": filters * groups,
        "kernel_size": list(kernel_size),
        "strides": list(strides),
        "dilation_rate": list(dilations),
        "padding": "valid" if algorithm is Pointwise else draw(st.sampled_from(PADDINGS)),
        "groups": groups,
    }
    return options, (height, width, channels * groups)


@pytest.mark.parametrize(
    ("options", "channels", "algorithm"),
    [
        ({"kernel_size": 3, "filters": 4, "groups": 4}, 4, Depthwise),
        ({"kernel_size": 1, "filters": 32, "groups": 4, "strides": 2, "padding": "same"}, 4, Depthwise),
        ({"kernel_size": 3, "filters": 8, "groups": 2}, 8, Depthwise),
        ({"kernel_size": 3, "filters": 36, "groups": 4}, 4, Gemm),
        ({"kernel_size": 3, "filters": 8, "groups": 2}, 10, Gemm),
        ({"kernel_size": 3, "filters": 1}, 1, Gemm),
        ({"kernel_size": 1, "filters": 1}, 1, Pointwise),
        ({"kernel_size": 1, "filters": 8, "groups": 2, "dilation_rate": 2}, 10, Pointwise),
        ({"kernel_size": 1, "filters": 8, "strides": [1, 2]}, 4, Gemm),
        ({"kernel_size": [1, 2], "filters": 8}, 4, Gemm),
        ({"kernel_size": 1, "filters": 8, "padding": {"explicit": {"before": [0, 1]}}}, 4, Gemm),
    ],
    ids=str,
)
def test_shapes_choose_the_algorithm(make_network, options, channels, algorithm):
    network = make_network([{"conv2d": options}, "flatten", {"dense": {"units": 3}}], input_shape=(5, 5, channels))
    assert type(network.layers[0].algorithm) is algorithm


def outputs(network, rows, vector, x):
    """Return the output of the first layer, in float64, and the gradient of the summed loss by every parameter."""
    program = Program(network, rows, np.float64)
    _, gradient = step(program, vector, (x, 0), 1.0)
    return program.outputs[0], gradient


@pytest.mark.parametrize("algorithm", SIZES, ids=lambda kind: kind.__name__)
@settings(derandomize=True, deadline=None, max_examples=60)
@given(data=st.data(), rows=st.integers(1, 4), seed=st.integers(0, 1000))
def test_equals_the_naive_twin(make_network, algorithm, data, rows, seed):
    options, shape = data.draw(convolutions(algorithm))
    network = make_network([{"conv2d": options}, "flatten", {"dense": {"units": 1}}], "sum_squared_error", shape)
    assume(type(network.layers[0].algorithm) is algorithm)  # some settings for Gemm are pointwise
    vector = np.random.default_rng(seed).standard_normal(network.layout.size)
    x, _ = random_batch(network, seed, rows)
    expected = naive(
        x,
        *(p.view(vector) for p in network.layout.parameters[:2]),
        options["strides"],
        options["padding"],
        options["dilation_rate"],
        options["groups"],
    )
    y, _ = outputs(network, rows, vector, x)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(case=convolutions(Depthwise), rows=st.integers(1, 4), blocks=st.integers(1, 500), kernels=st.integers(1, 200))
def test_depthwise_equals_matrix_products(make_network, case, rows, blocks, kernels):
    """In blocks of every size, derivatives are equal too; the gradient of the layer before shows dx."""
    options, shape = case
    before = {"conv2d": {"filters": shape[-1], "kernel_size": 1, "groups": shape[-1]}}
    layers = [before, {"conv2d": options}, "flatten", {"dense": {"units": 1}}]
    results = []
    for largest, algorithm in ((depthwise.MAXIMUM_KERNEL, Depthwise), (0, (Gemm, Pointwise))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(depthwise, "MAXIMUM_KERNEL", largest)
            patch.setattr(depthwise, "BLOCK_VALUES", blocks)
            patch.setattr(depthwise, "KERNEL_VALUES", kernels)
            network = make_network(layers, "sum_squared_error", shape)
            assert isinstance(network.layers[1].algorithm, algorithm)
            vector = np.random.default_rng(1).standard_normal(network.layout.size)
            results.append(outputs(network, rows, vector, random_batch(network, 1, rows)[0]))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


BLOCKS = {Gemm: im2col, Pointwise: pointwise, Depthwise: depthwise}


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        *((Gemm, {"padding": padding}) for padding in PADDINGS),
        *((Gemm, {"padding": padding, "groups": 2, "filters": 36}) for padding in PADDINGS),
        (Pointwise, {"kernel_size": 1}),
        *((Depthwise, {"padding": padding, "groups": 4}) for padding in PADDINGS),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_blocks_make_no_difference(make_network, monkeypatch, algorithm, options):
    """Blocks range from one row of positions, or one image, to all images, with a smaller last block."""
    conv = {"filters": 8, "kernel_size": 3, "activation": "tanh", **options}
    layers = [{"conv2d": conv}, {"conv2d": {**conv, "strides": 2}}, "flatten", {"dense": {"units": 1}}]
    network = make_network(layers, "sum_squared_error", (8, 7, 4))
    assert type(network.layers[0].algorithm) is algorithm
    vector, results, shapes = np.random.default_rng(1).standard_normal(network.layout.size), [], set()
    for values in (1, 500, 1200, 2000, 5000, 10**6):
        monkeypatch.setattr(BLOCKS[algorithm], "BLOCK_VALUES", values)
        shapes.add(network.layers[0].algorithm.block_shape(5))
        results.append(outputs(network, 5, vector, random_batch(network, 1, 5)[0]))
    assert len(shapes) >= 3
    for y, gradient in results[1:]:
        np.testing.assert_allclose(y, results[0][0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(gradient, results[0][1], rtol=1e-10, atol=1e-10)


def test_a_sequence_is_an_image_of_height_one(make_network):
    options = {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2, "padding": "same", "groups": 2}
    wide = {**options, **{name: [1, options[name]] for name in ("kernel_size", "strides", "dilation_rate")}}
    end = ["flatten", {"dense": {"units": 1}}]
    sequence = make_network([{"conv1d": options}, *end], "sum_squared_error", (9, 2))
    image = make_network([{"conv2d": wide}, *end], "sum_squared_error", (1, 9, 2))
    vector, (x, _) = np.random.default_rng(1).standard_normal(sequence.layout.size), random_batch(sequence, 1, 3)
    of_sequence, of_image = outputs(sequence, 3, vector, x), outputs(image, 3, vector, x[:, None])
    assert of_sequence[0].shape == (3, 5, 4)
    assert np.array_equal(of_sequence[0], of_image[0][:, 0])
    assert np.array_equal(of_sequence[1], of_image[1])


def test_one_number_stands_for_height_and_width(make_network):
    network = make_network(
        [
            {"conv2d": {"filters": 8, "kernel_size": 3, "strides": 2, "padding": {"explicit": {"before": 1}}}},
            "flatten",
            {"dense": {"units": 3}},
        ],
        input_shape=(9, 7, 2),
    )
    assert network.layers[0].output_shape == (5, 4, 8)
    assert [p.shape for p in network.layers[0].parameters] == [(3, 3, 2, 8), (8,)]
    assert network.layers[0].operations == 5 * 4 * 8 * (2 * 18 + 1)


@pytest.mark.parametrize(
    ("kind", "options", "shape", "message"),
    [
        ("conv2d", {"kernel_size": [5, 2]}, (4, 4, 1), "conv2d_1 has a kernel of height 5, larger than its input's 4"),
        (
            "conv2d",
            {"kernel_size": 3, "dilation_rate": [1, 4], "padding": {"explicit": {"before": 1}}},
            (4, 4, 1),
            "has a kernel of width 9, larger than its input's 6, padding of 1 and 1 included",
        ),
        ("conv1d", {"kernel_size": 6}, (5, 2), "has a kernel of length 6, larger than its input's 5"),
        ("conv2d", {"kernel_size": 1, "groups": 2}, (4, 4, 3), "has 2 groups, which do not divide 3 channels"),
        ("conv2d", {"kernel_size": 1, "groups": 3}, (4, 4, 3), "has 3 groups, which do not divide 4 filters"),
        (
            "conv2d",
            {"kernel_size": 1},
            (4, 4),
            "the input has shape (4, 4), but conv2d_1 takes images (height, width, channels)",
        ),
        ("conv1d", {"kernel_size": 1}, (4,), "takes sequences (length, channels)"),
        (
            "conv1d",
            {"kernel_size": 1, "padding": {"explicit": {"before": [1, 2]}}},
            (4, 2),
            "its padding is one number before and one after",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(make_network, kind, options, shape, message):
    with pytest.raises(InvalidSpec) as refused:
        make_network([{kind: {"filters": 4, **options}}, "flatten", {"dense": {"units": 3}}], input_shape=shape)
    (error,) = refused.value.errors
    assert error.path == f"network.layers[0].{kind}"
    assert message in error.message
