"""An attention block on one core against PyTorch eager: 4 heads of 64, length 128, batches of 16, layer normalization
before attention and before an MLP of 1,024 units with GELU, both with a path around them; SGD.

`share_of_products` says how much of our step the matrix products would take at the rate that the core reaches with a
large one: what no better code around them can take away.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from comparison import Comparison, Measurement, print_document, rounded, rounds_wanted, run_peer
from threadpoolctl import threadpool_limits

from raydient.spec.network import Network as NetworkSpec
from raydient.workers.network import Pass, Program, build, random_batch

HEADS, SIZE, LENGTH, ROWS, CLASSES = 4, 64, 128, 16, 10
FEATURES = HEADS * SIZE
HIDDEN = 4 * FEATURES
FLOOR = 0.9
STEPS, WARM_UP_STEPS = 20, 3
LARGE = 1024

LAYERS: list[dict[str, Any]] = [
    {"dense": {"name": "before", "units": FEATURES}},  # so that the block's derivative by its input is asked for
    {"layer_normalization": {"name": "first"}},
    {"multi_head_attention": {"name": "attention", "num_heads": HEADS, "key_dim": SIZE}},
    {"add": {"name": "middle", "inputs": ["before", "attention"]}},
    {"layer_normalization": {"name": "second"}},
    {"dense": {"name": "wide", "units": HIDDEN, "activation": "gelu"}},
    {"dense": {"name": "narrow", "units": FEATURES}},
    {"add": {"inputs": ["middle", "narrow"]}},
    {"flatten": {}},
    {"dense": {"units": CLASSES}},
]


def product_operations() -> int:
    """Of a step: each product forward, and two backward, but for the derivative by the samples."""
    places = ROWS * LENGTH
    weights = 5 * FEATURES**2 + 2 * FEATURES * HIDDEN
    scores = 2 * LENGTH * FEATURES
    return 2 * places * (3 * (weights + scores) - FEATURES**2) + 6 * ROWS * LENGTH * FEATURES * CLASSES


def seconds_per_call(call: Callable[[], object], calls: int) -> float:
    for _ in range(WARM_UP_STEPS):
        call()
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


def ours() -> Measurement:
    """Forward, backward and update of one microbatch."""
    specification = NetworkSpec.model_validate({"layers": LAYERS, "loss": "softmax_cross_entropy"})
    network = build(specification, (LENGTH, FEATURES))
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


def torch() -> Measurement:
    (result,) = run_peer(
        "torch_attention.py", "--heads", HEADS, "--size", SIZE, "--length", LENGTH, "--hidden", HIDDEN,
        "--classes", CLASSES, "--batch", ROWS, "--steps", STEPS,
    )  # fmt: skip
    return {"samples_per_s": result["samples_per_s"], "step_ms": result["ms_per_step"]}


def large_product() -> Measurement:
    a, out = np.full((LARGE, LARGE), 0.5, np.float32), np.empty((LARGE, LARGE), np.float32)
    return {"operations_per_s": 2 * LARGE**3 / seconds_per_call(lambda: np.matmul(a, a, out=out), 10)}


def main() -> None:
    rounds = rounds_wanted(__doc__, 5)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # peers inherit it
    comparison = Comparison({"large_product": large_product, "raydient": ours, "torch": torch})
    with threadpool_limits(1):
        comparison.run(rounds)
    comparison.ratio("samples_per_s", "raydient", "torch", at_least=FLOOR)
    least = product_operations() / comparison.median("large_product", "operations_per_s")
    share = rounded(least / (comparison.median("raydient", "step_ms") / 1e3))
    print_document(comparison.document("attention", share_of_products=share))


if __name__ == "__main__":
    main()
