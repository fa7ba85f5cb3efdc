"""Memory, over every example of every kind of layer: the steady state allocates nothing, a program little more than it
must.
"""

import tracemalloc
from contextlib import contextmanager
from itertools import pairwise
from math import prod

import numpy as np
import pytest

from raydient.workers.network import Pass, Program, random_batch

from .examples import cases, graph

LARGEST_VALUES = 100_000
"""Of the largest array of a batch: 400 KB."""
WITHIN_A_CALL = 200_000
"""Bytes that NumPy may take within a call, as when it walks along arrays that are not contiguous: 32 KiB for each."""


@contextmanager
def traced():
    tracemalloc.start()
    try:
        yield tracemalloc
    finally:
        tracemalloc.stop()


def step_of(network, rows):
    """A function that computes a training step and a prediction, over and over on one batch."""
    program, vector = Program(network, rows), np.empty(network.layout.size, np.float32)
    network.initialize(1, vector)
    weights, gradients = network.bind(vector), network.bind(np.empty_like(vector))
    program.x[...], program.y[...] = random_batch(network, 1, rows)

    def step():
        program.forward(weights, Pass(training=True))
        program.backward(weights, gradients, 1 / rows)
        program.predict(weights)

    return step


@pytest.mark.parametrize("case", cases().values(), ids=cases())
def test_steady_state_allocates_nothing(make_network, case):
    network = make_network(graph(*case), input_shape=(4,))
    rows = LARGEST_VALUES // max(prod(layer.output_shape) for layer in network.layers)
    step = step_of(network, rows)
    step()
    with traced() as memory:
        step()
        before, _ = memory.get_traced_memory()
        memory.reset_peak()
        step()
        after, peak = memory.get_traced_memory()
    assert after - before < 16_000
    assert peak - before < WITHIN_A_CALL


DENSE = {"dense": {"units": 300, "activation": "relu"}}
CONVOLUTION = {"conv2d": {"filters": 24, "kernel_size": 3, "padding": "same", "activation": "relu"}}
NETWORKS = {
    "a stack of dense layers": ([DENSE] * 6, (300,)),
    "a stack of convolutions": ([CONVOLUTION] * 6 + ["flatten"], (16, 16, 24)),
    "images that become smaller": (
        [CONVOLUTION, CONVOLUTION, "max_pooling2d", *[CONVOLUTION] * 4, "flatten"],
        (16, 16, 24),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_takes_little_more_than_it_must(make_network, name):
    """At most 1.25 times parameters, gradients, and the activations and derivatives that backward needs at a time."""
    layers, shape = NETWORKS[name]
    network, rows = make_network([*layers, {"dense": {"units": 3}}], input_shape=shape), 64
    sizes = [prod(layer.output_shape) * (not layer.output_is_view) for layer in network.layers]
    activations = rows * (prod(shape) + sum(sizes))
    at_a_time = rows * max(a + b for a, b in pairwise(sizes))  # dy of a layer and its dx
    with traced() as memory:
        step = step_of(network, rows)
        memory.reset_peak()
        step()
        _, peak = memory.get_traced_memory()
    needed = 4 * (2 * network.layout.size + activations + at_a_time)
    assert peak < 1.25 * needed
    assert peak > needed - 4 * at_a_time
