"""Recurrent layers on one core against PyTorch eager: 128 units over 64 steps of 128 features, batches of 32, SGD.

`share_of_products` says how much of our step the matrix products would take at the rate that the core reaches with a
large one: what no better code around them can take away.
"""

import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from comparison import Comparison, Measurement, print_document, rounded, rounds_wanted, run_peer
from threadpoolctl import threadpool_limits

from raydient.spec.network import Network as NetworkSpec
from raydient.workers.network import Pass, Program, build, random_batch

UNITS, FEATURES, LENGTH, ROWS, CLASSES = 128, 128, 64, 32, 10
GATES = {"lstm": 4, "gru": 3}
FLOOR = {"lstm": 0.9, "gru": None}
STEPS, WARM_UP_STEPS = 60, 5
LARGE = 1024


def product_operations(kind: str) -> int:
    """Of a step: K forward and its gradient, R forward, its gradient and the state's. Nothing asks for dx."""
    return 2 * ROWS * LENGTH * GATES[kind] * UNITS * (2 * FEATURES + 3 * UNITS)


def seconds_per_call(call: Callable[[], object], calls: int) -> float:
    for _ in range(WARM_UP_STEPS):
        call()
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


def ours(kind: str) -> Measurement:
    """Forward, backward and update of one microbatch."""
    layers = [{kind: {"units": UNITS}}, {"dense": {"units": CLASSES}}]
    network = build(NetworkSpec.model_validate({"layers": layers, "loss": "softmax_cross_entropy"}), (LENGTH, FEATURES))
    weights = np.empty(network.layout.size, np.float32)
    network.initialize(0, weights)
    gradient, program = np.empty_like(weights), Program(network, ROWS)
    program.x[...], program.y[...] = random_batch(network, 0, ROWS)
    views, gradients, this = network.bind(weights), network.bind(gradient), Pass(training=True)

    def step() -> None:
        program.forward(views, this)
        program.backward(views, gradients, 1 / ROWS)
        np.multiply(gradient, 0.01, out=gradient)
        np.subtract(weights, gradient, out=weights)

    seconds = seconds_per_call(step, STEPS)
    return {"samples_per_s": ROWS / seconds, "step_ms": seconds * 1e3}


def torch(kind: str) -> Measurement:
    (result,) = run_peer(
        "torch_recurrent.py", "--kind", kind, "--units", UNITS, "--features", FEATURES, "--length", LENGTH,
        "--batch", ROWS, "--steps", STEPS,
    )  # fmt: skip
    return {"samples_per_s": result["samples_per_s"], "step_ms": result["ms_per_step"]}


def large_product() -> Measurement:
    a, out = np.full((LARGE, LARGE), 0.5, np.float32), np.empty((LARGE, LARGE), np.float32)
    return {"operations_per_s": 2 * LARGE**3 / seconds_per_call(lambda: np.matmul(a, a, out=out), 20)}


def main() -> None:
    rounds = rounds_wanted(__doc__, 5)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # peers inherit it
    contenders: dict[str, Callable[[], Measurement]] = {"large_product": large_product}
    for kind in GATES:
        contenders |= {kind: partial(ours, kind), f"torch_{kind}": partial(torch, kind)}
    comparison = Comparison(contenders)
    with threadpool_limits(1):
        comparison.run(rounds)
    peak = comparison.median("large_product", "operations_per_s")
    shares = {}
    for kind in GATES:
        comparison.ratio("samples_per_s", kind, f"torch_{kind}", at_least=FLOOR[kind])
        shares[kind] = rounded(product_operations(kind) / peak / (comparison.median(kind, "step_ms") / 1e3))
    print_document(comparison.document("recurrent", share_of_products=shares))


if __name__ == "__main__":
    main()
