"""Dropout: the share of dropped values, and their dependence on seed, step, microbatch and layer alone."""

import numpy as np
import pytest

from raydient.workers.network import Pass, Program

from .training_step import step

ONE = Pass(training=True, seed=3, step=5, microbatch=2)


@pytest.fixture
def dropped(make_network):
    """Return a function that computes the output of a dropout layer for ones."""

    def run(pass_, rate=0.3, layers=None, dtype=np.float32):
        network = make_network(layers or [{"dropout": {"rate": rate}}, {"dense": {"units": 1}}], "sum_squared_error")
        program = Program(network, 500, dtype)
        program.x[...] = 1
        program.forward(network.bind(np.zeros(network.layout.size, dtype)), pass_)
        return program.outputs[0].copy()

    return run


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_values_are_dropped_and_the_others_scaled_up(dropped, rate):
    y = dropped(ONE, rate)
    assert set(np.unique(y)) <= {np.float32(0), np.float32(1 / (1 - rate))}
    assert np.mean(y == 0) == pytest.approx(rate, abs=0.03)
    assert y.mean() == pytest.approx(1, abs=0.2)


def test_evaluation_and_prediction_pass_everything(dropped):
    assert (dropped(Pass()) == 1).all()


def test_the_same_seed_step_and_microbatch_drop_the_same_values(dropped):
    assert np.array_equal(dropped(ONE), dropped(ONE))


@pytest.mark.parametrize(
    "other",
    [Pass(True, 4, 5, 2), Pass(True, 3, 6, 2), Pass(True, 3, 5, 3), Pass(True, 3, 5, 2, 1)],
    ids=["seed", "step", "microbatch", "local step"],
)
def test_another_seed_step_or_microbatch_drops_other_values(dropped, other):
    assert not np.array_equal(dropped(ONE), dropped(other))


def test_another_layer_drops_other_values(dropped):
    named = [{"dropout": {"rate": 0.3, "name": "other"}}, {"dense": {"units": 1}}]
    assert not np.array_equal(dropped(ONE), dropped(ONE, layers=named))


def test_dropped_values_have_derivative_zero(make_network):
    network = make_network([{"dense": {"units": 6}}, {"dropout": {"rate": 0.5}}], "sum_squared_error")
    program = Program(network, 50, np.float64)
    vector = np.ones(network.layout.size)
    _, gradient = step(program, vector, (1, 0), 1.0, ONE)
    mask = program.outputs[1] / program.outputs[0]
    expected = (2 * program.outputs[1] * mask).sum(0)  # by the bias
    np.testing.assert_allclose(network.layout.views(gradient)["dense_1.bias"], expected)
