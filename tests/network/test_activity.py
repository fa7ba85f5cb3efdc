"""Penalties on outputs of layers: their sum over the rows, in one microbatch or in several, and in a graph."""

import numpy as np
import pytest

from raydient.workers.network import Program, check_gradients, random_batch

from .examples import assert_sound
from .training_step import step

HIDDEN = {"dense": {"name": "hidden", "units": 4, "activation": "tanh"}}
PENALTY = {"activity_regularization": {"l1": 0.3, "l2": 0.2, "name": "penalty"}}


def test_the_penalty_is_no_part_of_the_reported_loss(make_network):
    network = make_network([HIDDEN, PENALTY, {"dense": {"units": 2}}], "mean_squared_error", (3,))
    plain = make_network([HIDDEN, {"dense": {"units": 2}}], "mean_squared_error", (3,))
    batch, vector = random_batch(network, 1, 5), np.linspace(-1, 1, network.layout.size)
    program = Program(network, 5, np.float64)
    sums, gradient = step(program, vector, batch)
    expected, without = step(Program(plain, 5, np.float64), vector, batch)
    assert sums.tolist() == expected.tolist()
    assert not np.allclose(gradient, without)
    y = program.outputs[0]
    assert program.penalty() == pytest.approx(0.3 * np.abs(y).sum() + 0.2 * (y**2).sum())


def test_microbatches_add_up_to_the_batch(make_network):
    network = make_network([HIDDEN, PENALTY, {"dense": {"units": 2}}], "mean_squared_error", (3,))
    (x, y), vector = random_batch(network, 1, 6), np.linspace(-1, 1, network.layout.size)
    _, whole = step(Program(network, 6, np.float64), vector, (x, y))
    parts = [step(Program(network, 3, np.float64), vector, (x[k : k + 3], y[k : k + 3]), 1 / 6) for k in (0, 3)]
    np.testing.assert_allclose(parts[0][1] + parts[1][1], whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["dense", "lstm", "conv1d", "conv1d_transpose"])
def test_a_regularizer_of_a_layer_is_the_penalty_layer_behind_it(make_network, kind):
    sizes = {"dense": {"units": 4}, "lstm": {"units": 4}}.get(kind, {"filters": 2, "kernel_size": 2})
    penalty, ends, gradients = {"l1": 0.3, "l2": 0.2}, ["flatten", {"dense": {"units": 2}}], []
    for layers in (
        [{kind: {**sizes, "activity_regularizer": penalty}}],
        [{kind: sizes}, {"activity_regularization": penalty}],
    ):
        network = make_network([*layers, *ends], "mean_squared_error", (3, 2))
        batch, vector = random_batch(network, 1, 5), np.linspace(-1, 1, network.layout.size)
        gradients.append(step(Program(network, 5), vector.astype(np.float32), batch)[1])
    assert gradients[0].tobytes() == gradients[1].tobytes()


def test_each_application_of_a_shared_layer_has_the_penalty(make_network):
    twice = {"shared": {"layer": "hidden", "name": "again", "inputs": "input"}}
    ends = [twice, {"add": {"inputs": ["hidden", "again"]}}, {"dense": {"units": 2}}]
    regularizer = {"activity_regularizer": {"l2": 0.5}}
    network = make_network([{"dense": {**HIDDEN["dense"], **regularizer}}, *ends], "mean_squared_error", (3,))
    program, vector = Program(network, 5, np.float64), np.linspace(-1, 1, network.layout.size)
    step(program, vector, random_batch(network, 1, 5))
    assert program.penalty() == pytest.approx(2 * 0.5 * (program.outputs[0] ** 2).sum())
    assert_sound(check_gradients(network, *random_batch(network, 1, 5), 1))


def test_a_penalty_on_outputs_that_other_layers_read_too(make_network):
    layers = [
        HIDDEN,
        PENALTY,
        {"dense": {"name": "left", "units": 4, "inputs": "penalty"}},
        {"add": {"inputs": ["left", "hidden"]}},
        {"activity_regularization": {"l2": 0.5}},
        {"dense": {"units": 3}},
    ]
    network = make_network(layers, input_shape=(3,))
    assert_sound(check_gradients(network, *random_batch(network, 1, 5), 1))


def test_a_penalty_on_the_output_of_the_network(make_network):
    network = make_network([{"dense": {"units": 3}}, PENALTY], input_shape=(3,))
    assert_sound(check_gradients(network, *random_batch(network, 1, 5), 1))
