"""Transposed convolution against a loop over the places of the input, with the sizes of Keras and PyTorch."""

import itertools

import numpy as np
import pytest

from raydient.spec.convolution import Conv2dTranspose
from raydient.spec.errors import InvalidSpec
from raydient.workers.network import Program


def by_places(x, kernel, bias, settings, shape, before):
    """Add the kernel times each place of x, (rows, height, width, channels), to outputs of `shape`."""
    z, groups = np.zeros((len(x), *shape)) + bias, settings.get("groups", 1)
    channels, filters = x.shape[3] // groups, shape[2] // groups
    strides, dilation = settings["strides"], settings.get("dilation_rate", (1, 1))
    for n, p, q, i, j, g in itertools.product(*map(range, (*x.shape[:3], *kernel.shape[:2], groups))):
        down, right = p * strides[0] + i * dilation[0] - before[0], q * strides[1] + j * dilation[1] - before[1]
        if 0 <= down < shape[0] and 0 <= right < shape[1]:
            c, f = slice(g * channels, (g + 1) * channels), slice(g * filters, (g + 1) * filters)
            z[n, down, right, f] += kernel[i, j, :, c] @ x[n, p, q, c]
    return z


def settings_of(kernel, strides, **others):
    return {"kernel_size": kernel, "strides": strides, **others}


CASES = [
    (settings_of((3, 3), (1, 1)), (5, 6), (0, 0)),
    (settings_of((3, 2), (2, 2)), (7, 8), (0, 0)),
    (settings_of((2, 1), (3, 4)), (9, 16), (0, 0)),
    (settings_of((3, 3), (1, 1), padding="same"), (3, 4), (1, 1)),
    (settings_of((4, 3), (2, 2), padding="same"), (6, 8), (1, 0)),
    (settings_of((1, 2), (2, 3), padding="same"), (6, 12), (0, 0)),
    (settings_of((3, 2), (1, 1), dilation_rate=(2, 3)), (7, 7), (0, 0)),
    (settings_of((3, 2), (2, 3), dilation_rate=(1, 2), padding="same"), (6, 12), (0, 0)),
    (settings_of((3, 3), (1, 1), dilation_rate=(2, 3), padding="same"), (3, 4), (2, 3)),
    (settings_of((3, 2), (2, 3), output_padding=(1, 2)), (8, 13), (0, 0)),
    (settings_of((3, 4), (2, 2), output_padding=(0, 1), padding="same"), (5, 7), (1, 1)),
    (settings_of((5, 2), (3, 2), output_padding=(2, 0), padding="same"), (9, 6), (1, 1)),
    (settings_of((3, 4), (2, 2), padding={"explicit": {"before": 1}}, output_padding=(1, 0)), (6, 8), (1, 1)),
    (settings_of((4, 1), (1, 3), padding={"explicit": {"before": (2, 0), "after": (0, 1)}}), (4, 9), (2, 0)),
    (
        settings_of((1, 1), (3, 2), padding={"explicit": {"before": 1, "after": 0}}, output_padding=(2, 1)),
        (8, 7),
        (1, 1),
    ),
    (settings_of((2, 3), (2, 1), groups=2), (6, 6), (0, 0)),
    (settings_of((3, 3), (2, 2), groups=6, padding="same", dilation_rate=(2, 2)), (6, 8), (1, 1)),
]
"""Settings, height and width of the output for those of 3 and 4, and rows and columns cut off before.

With `valid` and `same` the sizes are those of `compute_conv_transpose_output_shape` of Keras 3, with as much padding
before as after those of PyTorch's `ConvTranspose2d`.
"""


@pytest.mark.parametrize(("settings", "size", "before"), CASES)
def test_each_place_adds_the_kernel(make_network, settings, size, before):
    layers = [{"conv2d_transpose": {"filters": 6, **settings}}, "flatten"]
    network = make_network(layers, "sum_squared_error", (3, 4, 6))
    assert network.layers[0].output_shape == (*size, 6)
    program, rng = Program(network, 2, np.float64), np.random.default_rng(1)
    program.x[...] = rng.standard_normal(program.x.shape)
    vector = rng.standard_normal(network.layout.size)
    views = network.bind(vector)
    program.forward(views)
    expected = by_places(program.x, views[0]["kernel"], views[0]["bias"], settings, (*size, 6), before)
    np.testing.assert_allclose(program.outputs[0], expected, rtol=1e-10, atol=1e-12)


def test_blocks_of_images_change_no_output(make_network):
    """40 images of 8 x 8 places with columns of 9 x 16 values are more than one block."""
    layers = [{"conv2d_transpose": {"filters": 16, "kernel_size": 3, "strides": 2, "padding": "same"}}, "flatten"]
    network = make_network(layers, "sum_squared_error", (8, 8, 3))
    rng = np.random.default_rng(1)
    x, vector = rng.standard_normal((40, 8, 8, 3)), rng.standard_normal(network.layout.size)
    whole, single = Program(network, 40, np.float64), Program(network, 1, np.float64)
    whole.x[...] = x
    whole.forward(network.bind(vector))
    for n in (0, 27, 28, 39):
        single.x[0] = x[n]
        single.forward(network.bind(vector))
        np.testing.assert_allclose(whole.outputs[0][n], single.outputs[0][0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"groups": 4}, "has 4 groups, which do not divide 6 channels"),
        ({"groups": 3, "filters": 4}, "has 3 groups, which do not divide 4 filters"),
        ({"padding": {"explicit": {"before": [2, 1]}}}, "has padding that leaves an output of height -1: use less"),
        ({"kernel_size": [2, 3], "padding": "same", "output_padding": 0}, "leaves an output of height 0: use less"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(make_network, settings, reason):
    layers = [{"conv2d_transpose": {"filters": 6, "kernel_size": 3, **settings}}, "flatten"]
    with pytest.raises(InvalidSpec, match=reason):
        make_network(layers, "sum_squared_error", (1, 3, 6))


@pytest.mark.parametrize(("strides", "further"), [(1, 1), ([3, 2], [1, 2])])
def test_more_output_than_a_stride_behind_the_last_window_is_refused(strides, further):
    settings = {"filters": 2, "kernel_size": 3, "strides": strides, "output_padding": further}
    with pytest.raises(ValueError, match=r"(\d) is not below the stride, \1: use at most"):
        Conv2dTranspose.model_validate(settings)
