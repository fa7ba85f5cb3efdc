"""During backpropagation the gradient becomes final from the end of the vector to its beginning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydient.workers.network import Pass, Program, random_batch

from .test_graphs import WIDTH, graphs


def finals(network, rows, seed):
    """Return the indices that the program reports, with the gradient from there on at that moment; and the gradient."""
    program, weights = Program(network, rows), np.zeros(network.layout.size, np.float32)
    x, y = random_batch(network, seed, rows)
    program.x[:], program.y[:] = x, y
    network.initialize(seed, weights)
    views, gradient, seen = network.bind(weights), np.full(network.layout.size, np.nan, np.float32), []
    program.forward(views, Pass(True, seed, 0, 0))
    program.backward(views, network.bind(gradient), 0.5, lambda start: seen.append((start, gradient[start:].copy())))
    return seen, gradient


@settings(derandomize=True, deadline=None, max_examples=60)
@given(layers=graphs(), rows=st.integers(1, 4), seed=st.integers(0, 1000), frozen=st.randoms(use_true_random=False))
def test_a_gradient_that_is_final_does_not_change(make_network, layers, rows, seed, frozen):
    for layer in layers[:-1]:
        for kind, options in layer.items():
            if kind in ("dense", "layer_normalization", "batch_normalization") and frozen.random() < 0.3:
                options["trainable"] = False
    network = make_network(layers, "sum_squared_error", (WIDTH,))

    seen, gradient = finals(network, rows, seed)

    starts = [start for start, _ in seen]
    assert starts == sorted(starts, reverse=True)
    assert starts[-1] == 0
    for start, then in seen:
        assert then.tobytes() == gradient[start:].tobytes()


@pytest.mark.parametrize("rows", [1, 5])
def test_the_layers_of_a_chain_become_final_one_by_one(make_network, rows):
    network = make_network([{"dense": {"units": 4}}, {"dense": {"units": 3}}, {"dense": {"units": 2}}])

    assert [start for start, _ in finals(network, rows, 1)[0]] == [28 + 15, 28, 0]
