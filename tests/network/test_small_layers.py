"""Global maxima, repeated places, group and RMS normalization, and PReLU by hand."""

import numpy as np
import pytest

from raydient.spec.errors import InvalidSpec
from raydient.workers.network import Program

from .training_step import initial


def through(make_network, layer, x, dy=None, weights=None):
    """Return the output of a layer between two of the identity and, if `dy` is its derivative, dx; float64."""
    x = np.array(x, np.float64)
    passed = {"dense": {"units": x.shape[-1], "use_bias": False, "name": "before"}}
    network = make_network([passed, layer, "flatten", {"dense": {"units": 1}}], "mean_squared_error", x.shape[1:])
    program, vector = Program(network, len(x), np.float64), initial(network, 1, np.float64)
    views = network.bind(vector)
    views[0]["kernel"][...] = np.eye(x.shape[-1])
    for name, values in (weights or {}).items():
        views[1][name][...] = values
    program.x[...] = x
    program.forward(views)
    y = program.outputs[1].copy()
    if dy is None:
        return y, None
    buffers = program.buffers[1]
    buffers.dy[...] = dy
    network.layers[1].backward(buffers, views[1], network.bind(np.zeros_like(vector))[1])
    return y, buffers.dx.copy()


def test_the_first_of_equal_maxima_gets_the_derivative(make_network):
    x = [[[1, 5], [3, 5], [3, -1]]]
    y, dx = through(make_network, "global_max_pooling1d", x, [[10, 20]])
    assert y.tolist() == [[3, 5]]
    assert dx.tolist() == [[[0, 20], [10, 0], [0, 0]]]


def test_pixels_are_repeated_and_their_derivatives_added(make_network):
    x = [[[[1], [2]], [[3], [4]]]]
    y, dx = through(make_network, {"up_sampling2d": {"size": [2, 1]}}, x, np.arange(8.0).reshape(1, 4, 2, 1))
    assert y[0, ..., 0].tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert dx[0, ..., 0].tolist() == [[0 + 2, 1 + 3], [4 + 6, 5 + 7]]


def test_each_group_has_mean_0_and_variance_1_in_each_sample(make_network):
    x = np.random.default_rng(1).normal(3, 2, (4, 5, 6))
    y, _ = through(make_network, {"group_normalization": {"groups": 2, "epsilon": 1e-12}}, x)
    for group in (y[..., :3], y[..., 3:]):
        np.testing.assert_allclose(group.mean(axis=(1, 2)), 0, atol=1e-12)
        np.testing.assert_allclose(group.var(axis=(1, 2)), 1)


def test_one_group_is_layer_normalization_of_a_vector(make_network):
    x = np.random.default_rng(1).normal(size=(4, 6))
    grouped, _ = through(make_network, {"group_normalization": {"groups": 1}}, x)
    layered, _ = through(make_network, "layer_normalization", x)
    np.testing.assert_allclose(grouped, layered, rtol=1e-12)


def test_a_vector_is_divided_by_its_root_mean_square(make_network):
    y, _ = through(make_network, {"rms_normalization": {"epsilon": 1e-30}}, [[3, -4]], weights={"scale": [1, 2]})
    np.testing.assert_allclose(y, [[3 / np.sqrt(12.5), -8 / np.sqrt(12.5)]])


def test_values_below_0_are_multiplied_by_the_factor_of_their_channel(make_network):
    layer = {"prelu": {"shared_axes": [1]}}
    y, dx = through(make_network, layer, [[[-1, 2], [3, -4], [-5, 0]]], np.ones((1, 3, 2)), {"alpha": [[0.5, 2]]})
    assert y.tolist() == [[[-0.5, 2], [3, -8], [-2.5, 0]]]
    assert dx.tolist() == [[[0.5, 1], [1, 2], [0.5, 1]]]


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        ({"group_normalization": {"groups": 4}}, (3, 6), "has 4 groups: give a number that divides the 6 channels"),
        ({"prelu": {"shared_axes": [3]}}, (3, 6), "shares axis 3: there are 2"),
        ("up_sampling1d", (3,), "takes sequences"),
        ("global_max_pooling2d", (3, 2), "takes images"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(make_network, layer, shape, message):
    with pytest.raises(InvalidSpec, match=message):
        make_network([layer, "flatten", {"dense": {"units": 1}}], "mean_squared_error", shape)
