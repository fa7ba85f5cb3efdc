"""Sample weights: equal to scaled rows of loss and gradient, for every loss."""

import numpy as np
import pytest

from raydient.workers.network import Program, random_batch
from raydient.workers.network.losses import LOSSES

from .test_gradient_check import OUTPUTS
from .training_step import step


def measure(network, x, y, weights=None):
    """Return sums and gradient of a batch in float64."""
    vector = np.random.default_rng(3).normal(0, 0.3, network.layout.size)
    program = Program(network, len(x), np.float64, weighted=weights is not None)
    if weights is not None:
        program.sample_weights[:] = weights
    return step(program, vector, (x, y))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_is_a_factor_of_its_sample_alone(make_network, loss):
    network = make_network(
        [{"dense": {"units": 4, "activation": "tanh"}}, {"dense": {"units": OUTPUTS.get(loss, 3)}}], loss
    )
    x, y = random_batch(network, 1, 5)
    weights = np.array([0.0, 1.0, 2.5, 0.25, 1.0])
    rows = [measure(network, x[n : n + 1], y[n : n + 1]) for n in range(5)]
    sums, gradient = measure(network, x, y, weights)
    assert sums[0] == pytest.approx(sum(w * row[0][0] for w, row in zip(weights, rows, strict=True)))
    np.testing.assert_allclose(sums[1:], sum(row[0][1:] for row in rows), err_msg="metrics are not weighted")
    expected = sum(w * row[1] for w, row in zip(weights, rows, strict=True)) / 5
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-14)


def test_weights_of_classes_and_of_samples_multiply(make_network):
    loss = {"softmax_cross_entropy": {"class_weight": [1.0, 3.0, 0.5]}}
    network = make_network([{"dense": {"units": 3}}], loss)
    x, y = random_batch(network, 1, 6)
    weights = np.linspace(0.5, 2, 6)
    both, _ = measure(network, x, y, weights)
    classes = [measure(network, x[n : n + 1], y[n : n + 1])[0][0] for n in range(6)]
    assert both[0] == pytest.approx(float(weights @ classes))


def test_weights_of_one_change_no_bit(make_network):
    network = make_network([{"dense": {"units": 3}}])
    batch = random_batch(network, 1, 6)
    plain, weighted = measure(network, *batch), measure(network, *batch, np.ones(6))
    assert [a.tobytes() for a in plain] == [b.tobytes() for b in weighted]
