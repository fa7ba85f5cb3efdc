"""Memory of programs: the steady state allocates nothing, and a program little more than needed."""

import tracemalloc
from contextlib import contextmanager
from itertools import pairwise
from math import prod

import numpy as np
import pytest

from raydient.steps.gradient import GradientLayout
from raydient.workers.network import Pass, Program, program_bytes, random_batch
from raydient.workers.network.activations import ACTIVATIONS
from raydient.workers.network.losses import LOSSES

from .examples import cases, graph
from .test_gradient_check import OUTPUTS
from .training_step import initial

LARGEST_VALUES = 100_000
"""Values of the largest array of a batch: 400 KB."""
WITHIN_A_CALL = 200_000
"""Bytes that NumPy may allocate within a call, for example 32 KiB for each array that is not contiguous."""


@contextmanager
def traced():
    tracemalloc.start()
    try:
        yield tracemalloc
    finally:
        tracemalloc.stop()


def step_of(program):
    """Return a function that computes a training step and a prediction on one batch."""
    network, vector = program.network, initial(program.network)
    weights, gradients = network.bind(vector), network.bind(np.empty_like(vector))
    program.x[...], program.y[...] = random_batch(network, 1, program.rows)

    def step():
        program.forward(weights, Pass(training=True))
        program.backward(weights, gradients, 1 / program.rows)
        program.predict(weights)

    return step


def allocated(step, times=1):
    """Return the bytes that a repeated step leaves allocated, and the most that it allocates at a time."""
    step()
    with traced() as memory:
        step()
        before, _ = memory.get_traced_memory()
        memory.reset_peak()
        for _ in range(times):
            step()
        after, peak = memory.get_traced_memory()
    return after - before, peak - before


@pytest.mark.parametrize("case", cases().values(), ids=cases())
def test_every_layer_allocates_nothing_in_the_steady_state(make_network, case):
    network = make_network(graph(*case), input_shape=(4,))
    rows = LARGEST_VALUES // max(prod(layer.output_shape) for layer in network.layers)
    left, most = allocated(step_of(Program(network, rows)))
    assert left < 16_000
    assert most < WITHIN_A_CALL


@pytest.mark.parametrize("loss", LOSSES)
def test_every_activation_and_loss_allocates_nothing_in_the_steady_state(make_network, loss):
    """A step allocates no array as large as a batch (800 KB), the outputs of a layer (800 KB) or a kernel (160 KB).

    NumPy allocates 64 KB within a call to convert types, for arrays of any size.
    """
    last = {"dense": {"units": OUTPUTS.get(loss, 10)}}
    stack = [{"dense": {"units": 200, "activation": kind}} for kind in ACTIVATIONS]
    network = make_network([*stack, {"activation": {"function": "relu"}}, "flatten", last], loss, (200,))
    program = Program(network, 1000)
    step, order = step_of(program), 2 * np.arange(1000)
    x, y = random_batch(network, 1, 2000)
    x, y = x.astype(program.x.dtype), y.astype(program.y.dtype)

    def take_and_step():
        np.take(x, order, axis=0, out=program.x, mode="clip")
        np.take(y, order, axis=0, out=program.y, mode="clip")
        step()

    left, most = allocated(take_and_step, times=10)
    assert left < 16_000
    assert most < 100_000


def test_a_step_over_a_large_table_takes_memory_for_the_rows_in_use_alone(make_network):
    words = {"embedding": {"input_dim": 1 << 20, "output_dim": 4, "name": "words"}}
    again = {"shared": {"layer": "words", "name": "again", "inputs": "input"}}
    layers = [words, again, {"add": {"inputs": ["words", "again"]}}, "flatten", {"dense": {"units": 3}}]
    network = make_network(layers, input_shape=(4,))
    program, vector = Program(network, 200), np.zeros(network.layout.size, np.float32)
    weights = network.bind(vector)
    gradients = network.bind_gradient(GradientLayout.of(network.layout).zeros())
    with traced() as memory:
        for seed in range(3):
            program.x[...], program.y[...] = random_batch(network, seed, 200)
            before, _ = memory.get_traced_memory()
            memory.reset_peak()
            program.forward(weights, Pass(training=True))
            program.backward(weights, gradients, 1 / 200)
            after, peak = memory.get_traced_memory()
    assert after - before < 16_000
    assert peak - before < WITHIN_A_CALL < 1 << 20, "less than a byte a row"


RELU = {"activation": "relu"}
DENSE = {"dense": {"units": 300, **RELU}}
CONVOLUTION = {"conv2d": {"filters": 24, "kernel_size": 3, "padding": "same", **RELU}}
DEPTHWISE = {"conv2d": {"filters": 24, "kernel_size": 3, "padding": "same", "groups": 24, **RELU}}
POINTWISE = {"conv2d": {"filters": 24, "kernel_size": 1, **RELU}}
PEER = [
    {"conv2d": {"filters": 32, "kernel_size": 3, **RELU}},
    {"conv2d": {"filters": 64, "kernel_size": 3, **RELU}},
    "max_pooling2d",
    "flatten",
    {"dense": {"units": 128, **RELU}},
]
ATTENTION = [
    {"dense": {"name": "x", "units": 256}},
    "layer_normalization",
    {"multi_head_attention": {"name": "attended", "num_heads": 4, "key_dim": 64}},
    {"add": {"name": "sum", "inputs": ["x", "attended"]}},
    "layer_normalization",
    {"dense": {"units": 1024, "activation": "gelu"}},
    {"dense": {"name": "thought", "units": 256}},
    {"add": {"inputs": ["sum", "thought"]}},
    "flatten",
]
NORMALIZED = [{"dense": {"units": 300}}, "batch_normalization", {"activation": {"function": "relu"}}]
NETWORKS = {
    "a stack of dense layers": ([DENSE] * 6, (300,)),
    "a stack of convolutions": ([CONVOLUTION] * 6 + ["flatten"], (16, 16, 24)),
    "images that become smaller": (
        [CONVOLUTION, CONVOLUTION, "max_pooling2d", *[CONVOLUTION] * 4, "flatten"],
        (16, 16, 24),
    ),
    "separable convolutions": ([DEPTHWISE, POINTWISE] * 4 + ["flatten"], (16, 16, 24)),
    "the peers' convolutions": (PEER, (28, 28, 1)),
    "batch normalization": (NORMALIZED * 4, (300,)),
    "dropout": ([DENSE, {"dropout": {"rate": 0.2}}] * 4, (300,)),
    "lstm": ([{"lstm": {"units": 128, "return_sequences": True}}, {"lstm": {"units": 128}}], (64, 128)),
    "gru": ([{"gru": {"units": 128, "return_sequences": True}}, {"gru": {"units": 128}}], (64, 128)),
    "embedding": ([{"embedding": {"input_dim": 500, "output_dim": 32}}, {"lstm": {"units": 64}}], (40,)),
    "a block of attention": (ATTENTION, (128, 64)),
}


def bytes_of(memory):
    return sum(prod(shape) * np.dtype(kind or np.float32).itemsize for shape, kind in memory.values())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_allocates_little_more_than_needed(make_network, name):
    """The peak is at most 1.25 times parameters, gradients, saved arrays and the derivatives alive at a time: dy and dx
    of a layer.
    """
    layers, shape = NETWORKS[name]
    network, rows = make_network([*layers, {"dense": {"units": 3}}], input_shape=shape), 64
    sizes = [prod(layer.output_shape) for layer in network.layers if not layer.output_is_view]
    activations = 4 * rows * (prod(shape) + sum(sizes)) + sum(bytes_of(layer.saved(rows)) for layer in network.layers)
    derivatives = 4 * rows * max(a + b for a, b in pairwise(sizes))
    with traced() as memory:
        step = step_of(Program(network, rows))
        memory.reset_peak()
        step()
        _, peak = memory.get_traced_memory()
    needed = 8 * network.layout.size + activations + derivatives
    assert peak < 1.25 * needed
    assert peak > needed - derivatives


@pytest.mark.parametrize("name", NETWORKS)
def test_the_memory_of_a_program_is_known_before_it_is_allocated(make_network, name):
    layers, shape = NETWORKS[name]
    network, rows = make_network([*layers, {"dense": {"units": 3}}], input_shape=shape), 64
    with traced() as memory:
        program = Program(network, rows)
        taken, _ = memory.get_traced_memory()
    assert program.rows == rows
    assert 0.97 * taken < program_bytes(network, rows) <= taken
