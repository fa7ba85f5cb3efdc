"""Pooling against loops, in blocks of every size, with equal values, and settings that do not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.spec.errors import InvalidSpec
from raydient.workers.network import Pass, Program, random_batch
from raydient.workers.network.layers import pooling

from .test_convolution import PADDINGS, around


def naive(x, dy, reduce_window, sizes, strides, padding):
    """y, and dx for a derivative dy: window by window of what lies inside the image; x (rows, height, width, channels).

    `reduce_window` answers a window's value and the share of each of its values in the derivative.
    """
    before = [around(x.shape[1 + i], sizes[i], strides[i], 1, padding, i)[0] for i in (0, 1)]
    y, dx = np.zeros(dy.shape), np.zeros(x.shape)
    for n, p, q, c in np.ndindex(*dy.shape):
        top, left = p * strides[0] - before[0], q * strides[1] - before[1]
        part = np.s_[n, max(top, 0) : top + sizes[0], max(left, 0) : left + sizes[1], c]
        y[n, p, q, c], share = reduce_window(x[part])
        dx[part] += share * dy[n, p, q, c]
    return y, dx


def largest(window):
    share = np.zeros(window.size)
    share[np.argmax(window)] = 1
    return window.max(), share.reshape(window.shape)


def mean(window):
    return window.mean(), np.full(window.shape, 1 / window.size)


def through(network, x, dy):
    """Return output and dx of the second layer of the network, whose other layers change nothing."""
    program = Program(network, len(x), np.float64)
    layer, buffers = network.layers[1], program.buffers[1]
    buffers.x[...] = x
    layer.forward(buffers, {}, Pass(training=True))
    y = buffers.y.copy()
    buffers.dy[...] = dy.reshape(y.shape)
    layer.backward(buffers, {}, {})
    return y, buffers.dx.copy()


def pooled(make_network, kind, options, shape):
    channels = shape[-1]
    before = {"conv1d" if len(shape) == 2 else "conv2d": {"filters": channels, "kernel_size": 1}}
    return make_network([before, {kind: options}, "flatten", {"dense": {"units": 1}}], "sum_squared_error", shape)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(
    kind=st.sampled_from([("max_pooling2d", largest), ("average_pooling2d", mean)]),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.sampled_from(PADDINGS),
    more=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    rows=st.integers(1, 3),
    seed=st.integers(0, 1000),
    block=st.sampled_from([1, 60, 10**6]),
)
def test_equals_the_naive_twin(make_network, kind, sizes, strides, padding, more, rows, seed, block):
    if isinstance(padding, dict):
        sizes = (sizes[0] + 2, sizes[1] + 3)  # more than what is added
    shape = (sizes[0] + more[0], sizes[1] + more[1], 2)
    options = {"pool_size": list(sizes), "strides": list(strides), "padding": padding}
    generator = np.random.default_rng(seed)
    network = pooled(make_network, kind[0], options, shape)
    x = generator.integers(-3, 3, (rows, *shape)).astype(np.float64)  # with equal values in one window
    dy = generator.standard_normal((rows, *network.layers[1].output_shape))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling, "BLOCK_VALUES", block)
        y, dx = through(network, x, dy)
    expected_y, expected_dx = naive(x, dy, kind[1], sizes, strides, padding)
    np.testing.assert_allclose(y, expected_y, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["max_pooling", "average_pooling", "global_average_pooling"])
def test_a_sequence_is_an_image_of_height_one(make_network, kind):
    long, wide = (
        ({}, {}) if kind[0] == "g" else ({"pool_size": 3, "strides": 2}, {"pool_size": [1, 3], "strides": [1, 2]})
    )
    generator = np.random.default_rng(1)
    sequence = pooled(make_network, f"{kind}1d", long, (8, 2))
    image = pooled(make_network, f"{kind}2d", wide, (1, 8, 2))
    x = generator.standard_normal((3, 8, 2))
    dy = generator.standard_normal((3, *sequence.layers[1].output_shape))
    (y, dx), (of_image, dx_of_image) = through(sequence, x, dy), through(image, x[:, None], dy)
    assert np.array_equal(y, of_image.reshape(y.shape))
    assert np.array_equal(dx, dx_of_image.reshape(dx.shape))


def test_the_mean_of_a_whole_image(make_network):
    network = pooled(make_network, "global_average_pooling2d", {}, (3, 4, 2))
    x, _ = random_batch(network, 1, 5)
    y, dx = through(network, x, np.ones((5, 2)))
    np.testing.assert_allclose(y, x.mean(axis=(1, 2)))
    np.testing.assert_allclose(dx, np.full((5, 3, 4, 2), 1 / 12))


@pytest.mark.parametrize("kind", ["max_pooling", "average_pooling"])
@pytest.mark.parametrize(
    ("dimensions", "options", "shape", "message"),
    [
        ("2d", {"pool_size": [2, 6]}, (4, 5, 1), "has a window of width 6, larger than its input's 5"),
        ("1d", {"pool_size": 4}, (3, 2), "has a window of length 4, larger than its input's 3"),
        (
            "2d",
            {"pool_size": [3, 2], "padding": {"explicit": {"before": 1, "after": [0, 2]}}},
            (5, 5, 1),
            "has a padding of 2, which is not less than its window of 2",
        ),
        ("2d", {}, (4, 4), "takes images (height, width, channels)"),
        ("1d", {}, (4, 4, 1), "takes sequences (length, channels)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make_network, kind, dimensions, options, shape, message):
    with pytest.raises(InvalidSpec) as refused:
        make_network([{kind + dimensions: options}, "flatten", {"dense": {"units": 3}}], input_shape=shape)
    (error,) = refused.value.errors
    assert error.path == f"network.layers[0].{kind}{dimensions}"
    assert message in error.message


def test_the_mean_of_other_shapes_than_images_is_refused(make_network):
    with pytest.raises(InvalidSpec, match=r"takes images \(height, width, channels\): add `reshape`"):
        make_network(["global_average_pooling2d", {"dense": {"units": 3}}], input_shape=(4, 4))
