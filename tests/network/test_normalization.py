"""Normalization against twins by the formulas of the papers, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.workers.network import Pass, Program

from .training_step import step

TRAINING = Pass(training=True, seed=3)


def run(network, x, derivative, vector, pass_=TRAINING, dtype=np.float64):
    """Return the output of a network of one layer, dx for a given dy, and the gradient by the parameters."""
    program, gradient = Program(network, len(x), dtype), np.full(network.layout.size, np.nan, dtype)
    program.x[...] = x
    program.forward(network.bind(vector), pass_)
    layer, buffers = network.layers[0], program.buffers[0]
    (weights, *_), (gradients, *_) = network.bind(vector), network.bind(gradient)
    y = buffers.y.copy()
    buffers.dy[...] = derivative
    layer.backward(buffers, weights, gradients)
    return y, gradients


@settings(derandomize=True, deadline=None, max_examples=40)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), rows=st.integers(1, 5), seed=st.integers(0, 99))
def test_layer_normalization_equals_its_twin(make_network, shape, rows, seed):
    network = make_network([{"layer_normalization": {"epsilon": 0.01}}, "flatten"], "sum_squared_error", tuple(shape))
    random = np.random.default_rng(seed)
    x, dy = random.normal(3, 2, (2, rows, *shape))
    gamma, beta = random.normal(size=(2, shape[-1]))
    y, gradients = run(network, x, dy, np.concatenate([gamma, beta]))
    normalized = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.01)
    np.testing.assert_allclose(y, gamma * normalized + beta, rtol=1e-9, atol=1e-12)
    others = tuple(range(x.ndim - 1))
    np.testing.assert_allclose(gradients["gamma"], (normalized * dy).sum(others), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients["beta"], dy.sum(others), rtol=1e-9, atol=1e-12)


def test_layer_normalization_depends_on_neither_pass_nor_other_rows(make_network):
    network = make_network([{"layer_normalization": {}}], "sum_squared_error", (8,))
    vector = np.concatenate([np.ones(8), np.zeros(8)])
    x = np.random.default_rng(1).normal(size=(6, 8))
    trained, _ = run(network, x, 0, vector)
    for n in range(6):
        alone, _ = run(network, x[n : n + 1], 0, vector, Pass())
        assert np.array_equal(alone[0], trained[n])


@pytest.mark.parametrize("offset", [0, 1e4])
def test_a_large_mean_does_not_drown_the_variance(make_network, offset):
    """The variance is a sum of squared deviations, not a difference of large numbers, which float32 would lose."""
    network = make_network([{"layer_normalization": {"epsilon": 1e-6}}], "sum_squared_error", (64,))
    x = np.random.default_rng(1).normal(size=(4, 64))
    vector = np.concatenate([np.ones(64), np.zeros(64)]).astype(np.float32)
    y, _ = run(network, x + offset, 0, vector, dtype=np.float32)
    np.testing.assert_allclose(y, (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), atol=0.01)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), rows=st.integers(1, 5), seed=st.integers(0, 99))
def test_batch_normalization_equals_its_twin(make_network, shape, rows, seed):
    layer = {"batch_normalization": {"epsilon": 0.01}}
    network = make_network([layer, "flatten"], "sum_squared_error", tuple(shape))
    random = np.random.default_rng(seed)
    x, dy = random.normal(3, 2, (2, rows, *shape))
    gamma, beta, mean, variance = random.uniform(0.5, 2, size=(4, shape[-1]))
    vector = np.concatenate([gamma, beta, mean, variance])
    others, count = tuple(range(x.ndim - 1)), x.size // shape[-1]

    y, gradients = run(network, x, dy, vector)
    normalized = (x - x.mean(others)) / np.sqrt(x.var(others) + 0.01)
    np.testing.assert_allclose(y, gamma * normalized + beta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients["gamma"], (normalized * dy).sum(others), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients["beta"], dy.sum(others), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradients["moving_mean"], x.mean(others), rtol=1e-9, atol=1e-12)
    unbiased = x.var(others, ddof=1) if count > 1 else variance  # one value leaves the average where it is
    np.testing.assert_allclose(gradients["moving_variance"], unbiased, rtol=1e-9, atol=1e-12)

    y, _ = run(network, x, dy, vector, Pass())
    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(variance + 0.01) + beta, rtol=1e-9, atol=1e-12)


def test_statistics_of_microbatches_add_up_to_those_of_the_batch(make_network):
    network = make_network([{"batch_normalization": {}}, {"dense": {"units": 1}}], "sum_squared_error", (3,))
    x, vector = np.random.default_rng(1).normal(3, 2, (12, 3)), np.ones(network.layout.size)
    totals = np.zeros(network.layout.size)
    for rows in (x[:7], x[7:]):
        totals += step(Program(network, len(rows), np.float64), vector, (rows, 0), 1 / len(x), TRAINING)[1]
    statistics = network.layout.views(totals)
    np.testing.assert_allclose(statistics["batch_normalization_1.moving_mean"], x.mean(0))
    within = 7 / 12 * x[:7].var(0, ddof=1) + 5 / 12 * x[7:].var(0, ddof=1)
    np.testing.assert_allclose(statistics["batch_normalization_1.moving_variance"], within)


def test_a_shared_layer_has_the_mean_statistics_of_its_uses(make_network):
    layers = [
        {"dense": {"units": 3, "name": "a", "inputs": "input"}},
        {"dense": {"units": 3, "name": "b", "inputs": "input"}},
        {"batch_normalization": {"name": "one", "inputs": "a"}},
        {"shared": {"layer": "one", "name": "two", "inputs": "b"}},
        {"add": {"inputs": ["one", "two"]}},
    ]
    network = make_network(layers, "sum_squared_error", (4,))
    program, vector = Program(network, 9, np.float64), np.random.default_rng(2).normal(size=network.layout.size)
    _, gradient = step(program, vector, (np.random.default_rng(1).normal(size=(9, 4)), 0), pass_=TRAINING)
    a, b = (y.mean(0) for y, layer in zip(program.outputs, network.layers, strict=True) if layer.name in "ab")
    np.testing.assert_allclose(network.layout.views(gradient)["one.moving_mean"], (a + b) / 2)


FROZEN = {"batch_normalization": {"epsilon": 0.01, "trainable": False}}


def test_frozen_batch_normalization_uses_the_averages_in_training_too(make_network):
    network = make_network([FROZEN, "flatten", {"dense": {"units": 1}}], "sum_squared_error", (2, 3))
    random = np.random.default_rng(1)
    vector = random.uniform(0.5, 2, network.layout.size)
    x = random.normal(3, 2, (5, 2, 3))
    trained, _ = run(network, x, 1, vector)
    elsewhere, _ = run(network, x, 1, vector, Pass())
    gamma, beta, mean, variance = vector[:12].reshape(4, 3)
    assert np.array_equal(trained, elsewhere)
    np.testing.assert_allclose(trained, gamma * (x - mean) / np.sqrt(variance + 0.01) + beta, rtol=1e-9, atol=1e-12)


def test_frozen_batch_normalization_scales_the_derivative_and_learns_nothing(make_network):
    layers = [{"dense": {"units": 3}}, FROZEN]
    network = make_network(layers, "sum_squared_error", (2,))
    program, vector = Program(network, 4, np.float64), np.random.default_rng(1).uniform(0.5, 2, network.layout.size)
    _, gradient = step(program, vector, (np.random.default_rng(2).normal(size=(4, 2)), 0), 1.0, TRAINING)
    dy = 2 * (program.outputs[1] - program.y)
    views, gradients = network.layout.views(vector), network.layout.views(gradient)
    slope = views["batch_normalization_1.gamma"] / np.sqrt(views["batch_normalization_1.moving_variance"] + 0.01)
    np.testing.assert_allclose(gradients["dense_1.bias"], (dy * slope).sum(0), rtol=1e-9)
    for name, g in gradients.items():
        assert name.startswith("dense_1.") or not g.any()


def test_one_row_is_enough_for_a_frozen_layer(make_network):
    def least(layer):
        return make_network([layer, {"dense": {"units": 1}}], "hinge").layers[0].least_rows

    assert (least("batch_normalization"), least(FROZEN)) == (2, 1)
