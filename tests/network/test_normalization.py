"""Normalization against twins that are written down from the papers, in float64 and without economy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.workers.network import Pass, Program

TRAINING = Pass(training=True, seed=3)


def run(network, x, derivative, vector, this=TRAINING, dtype=np.float64):
    """The output of a network of one layer with its loss's derivative replaced, and the gradient by its parameters."""
    program, gradient = Program(network, len(x), dtype), np.full(network.layout.size, np.nan, dtype)
    program.x[...] = x
    program.forward(network.bind(vector), this)
    (layer, buffers), (weights, *_), (gradients, *_) = program._layers[0], network.bind(vector), network.bind(gradient)
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


def test_layer_normalization_knows_neither_pass_nor_other_rows(make_network):
    network = make_network([{"layer_normalization": {}}], "sum_squared_error", (8,))
    vector = np.concatenate([np.ones(8), np.zeros(8)])
    x = np.random.default_rng(1).normal(size=(6, 8))
    trained, _ = run(network, x, 0, vector)
    for n in range(6):
        alone, _ = run(network, x[n : n + 1], 0, vector, Pass())
        assert np.array_equal(alone[0], trained[n])


@pytest.mark.parametrize("offset", [0, 1e4])
def test_a_large_mean_does_not_drown_the_variance(make_network, offset):
    """In float32: squares of deviations are added up, not the difference of two large numbers taken."""
    network = make_network([{"layer_normalization": {"epsilon": 1e-6}}], "sum_squared_error", (64,))
    x = np.random.default_rng(1).normal(size=(4, 64))
    vector = np.concatenate([np.ones(64), np.zeros(64)]).astype(np.float32)
    y, _ = run(network, x + offset, 0, vector, dtype=np.float32)
    np.testing.assert_allclose(y, (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True), atol=0.01)
