"""An attention block on one core against PyTorch eager: 4 heads of 64, length 128, batches of 16, layer normalization
before attention and before an MLP of 1,024 units with GELU, both with a path around them; SGD.

`share_of_products` says how much of our step the matrix products would take at the rate that the core reaches with a
large one: what no better code around them can take away.
"""

from functools import partial
from typing import Any

from comparison import Comparison, Measurement, Options, Peer, print_document, rounded, run_peer
from one_core import large_product, stay_on_one_core, training_step
from threadpoolctl import threadpool_limits

from raydient.spec.network import Network as NetworkSpec
from raydient.workers.network import build

HEADS, SIZE, LENGTH, ROWS, CLASSES = 4, 64, 128, 16, 10
FEATURES = HEADS * SIZE
HIDDEN = 4 * FEATURES
FLOOR = 0.9
STEPS, WARM_UP_STEPS = 20, 3

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
    """Operations of a step: each product once forward and twice backward, without the derivative by the samples."""
    places = ROWS * LENGTH
    weights = 5 * FEATURES**2 + 2 * FEATURES * HIDDEN
    scores = 2 * LENGTH * FEATURES
    return 2 * places * (3 * (weights + scores) - FEATURES**2) + 6 * ROWS * LENGTH * FEATURES * CLASSES


def ours(steps: int) -> Measurement:
    """Forward, backward and update of one microbatch."""
    specification = NetworkSpec.model_validate({"layers": LAYERS, "loss": "softmax_cross_entropy"})
    network = build(specification, (LENGTH, FEATURES))
    return training_step(network, ROWS, steps, WARM_UP_STEPS)


def torch() -> Measurement:
    (result,) = run_peer(
        "torch_attention.py", "--heads", HEADS, "--size", SIZE, "--length", LENGTH, "--hidden", HIDDEN,
        "--classes", CLASSES, "--batch", ROWS, "--steps", STEPS,
    )  # fmt: skip
    return {"samples_per_s": result["samples_per_s"], "step_ms": result["ms_per_step"]}


def main() -> None:
    options = Options.parse(__doc__, 5)
    stay_on_one_core()
    comparison = Comparison(
        options,
        {
            "large_product": partial(large_product, options.size(10, 1), WARM_UP_STEPS),
            "raydient": partial(ours, options.size(STEPS, 1)),
            "torch": Peer(torch),
        },
    )
    with threadpool_limits(1):
        comparison.run()
    comparison.ratio("samples_per_s", "raydient", "torch", at_least=FLOOR)
    least = product_operations() / comparison.median("large_product", "operations_per_s")
    share = rounded(least / (comparison.median("raydient", "step_ms") / 1e3))
    print_document(comparison.document("attention", share_of_products=share))


if __name__ == "__main__":
    main()
