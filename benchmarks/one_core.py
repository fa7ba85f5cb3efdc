"""Shared by the benchmarks of single layers on one core: a training step, and the rate of a large product."""

import os
import time
from collections.abc import Callable

import numpy as np
from comparison import Measurement

from raydient.workers.network import Network, Pass, Program, random_batch

Clock = Callable[[], float]
LARGE = 1024


def stay_on_one_core() -> None:
    """This process and the peers that it starts, which inherit it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def seconds_per_call(call: Callable[[], object], calls: int, warm_up: int, clock: Clock = time.perf_counter) -> float:
    """Mean time of so many calls, after those that are not counted."""
    for _ in range(warm_up):
        call()
    began = clock()
    for _ in range(calls):
        call()
    return (clock() - began) / calls


def training_step(
    network: Network, rows: int, steps: int, warm_up: int, clock: Clock = time.perf_counter
) -> Measurement:
    """Forward, backward and update of one microbatch."""
    weights = np.empty(network.layout.size, np.float32)
    network.initialize(0, weights)
    gradient, program = np.empty_like(weights), Program(network, rows)
    program.x[...], program.y[...] = random_batch(network, 0, rows)
    views, gradients, pass_ = network.bind(weights), network.bind(gradient), Pass(training=True)

    def step() -> None:
        program.forward(views, pass_)
        program.backward(views, gradients, 1 / rows)
        np.multiply(gradient, 0.01, out=gradient)
        np.subtract(weights, gradient, out=weights)

    seconds = seconds_per_call(step, steps, warm_up, clock)
    return {"samples_per_s": rows / seconds, "step_ms": seconds * 1e3}


def prediction(network: Network, rows: int, calls: int, warm_up: int, clock: Clock = time.perf_counter) -> Measurement:
    """The forward pass of one batch."""
    weights = np.empty(network.layout.size, np.float32)
    network.initialize(0, weights)
    program, views = Program(network, rows), network.bind(weights)
    program.x[...], _ = random_batch(network, 0, rows)
    seconds = seconds_per_call(lambda: program.predict(views), calls, warm_up, clock)
    return {"samples_per_s": rows / seconds, "step_ms": seconds * 1e3}


def large_product(calls: int, warm_up: int) -> Measurement:
    """The rate that a core reaches with nothing but one large matrix product."""
    a, out = np.full((LARGE, LARGE), 0.5, np.float32), np.empty((LARGE, LARGE), np.float32)
    seconds = seconds_per_call(lambda: np.matmul(a, a, out=out), calls, warm_up)
    return {"operations_per_s": 2 * LARGE**3 / seconds}
