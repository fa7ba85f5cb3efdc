"""Transposed convolution against a loop over the places of the input, with the sizes of Keras."""

import itertools

import numpy as np
import pytest

from raydient.workers.network import Program


def by_places(x, kernel, bias, strides, shape, before):
    """Add the kernel times each place of x, (rows, height, width, channels), to outputs of `shape`."""
    z = np.zeros((len(x), *shape)) + bias
    for n, p, q, i, j in itertools.product(*map(range, x.shape[:3]), *map(range, kernel.shape[:2])):
        down, right = p * strides[0] + i - before[0], q * strides[1] + j - before[1]
        if 0 <= down < shape[0] and 0 <= right < shape[1]:
            z[n, down, right] += kernel[i, j] @ x[n, p, q]
    return z


CASES = [
    ((3, 3), (1, 1), "valid", (5, 6), (0, 0)),
    ((3, 2), (2, 2), "valid", (7, 8), (0, 0)),
    ((2, 1), (3, 4), "valid", (9, 16), (0, 0)),
    ((3, 3), (1, 1), "same", (3, 4), (1, 1)),
    ((4, 3), (2, 2), "same", (6, 8), (1, 0)),
    ((1, 2), (2, 3), "same", (6, 12), (0, 0)),
]
"""Kernel, strides, padding, height and width of the output for those of 3 and 4, and rows and columns cut off."""


@pytest.mark.parametrize(("kernel", "strides", "padding", "size", "before"), CASES)
def test_each_place_adds_the_kernel(make_network, kernel, strides, padding, size, before):
    settings = {"filters": 2, "kernel_size": list(kernel), "strides": list(strides), "padding": padding}
    network = make_network([{"conv2d_transpose": settings}, "flatten"], "sum_squared_error", (3, 4, 5))
    assert network.layers[0].output_shape == (*size, 2)
    program, rng = Program(network, 3, np.float64), np.random.default_rng(1)
    program.x[...] = rng.standard_normal(program.x.shape)
    vector = rng.standard_normal(network.layout.size)
    views = network.bind(vector)
    program.forward(views)
    expected = by_places(program.x, views[0]["kernel"], views[0]["bias"], strides, (*size, 2), before)
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
