"""Recurrent layers on one core against PyTorch eager: 128 units over 64 steps of 128 features, batches of 32, SGD.

`share_of_products` says how much of our step the matrix products would take at the rate that the core reaches with a
large one: what no better code around them can take away.
"""

from collections.abc import Callable
from functools import partial

from comparison import Comparison, Measurement, Options, Peer, print_document, rounded, run_peer
from one_core import large_product, stay_on_one_core, training_step
from threadpoolctl import threadpool_limits

from raydient.spec.network import Network as NetworkSpec
from raydient.workers.network import build

UNITS, FEATURES, LENGTH, ROWS, CLASSES = 128, 128, 64, 32, 10
GATES = {"lstm": 4, "gru": 3}
FLOOR = {"lstm": 0.9, "gru": None}
STEPS, WARM_UP_STEPS = 60, 5


def product_operations(kind: str) -> int:
    """Operations of a step: K forward and its gradient; R forward, its gradient and the state's; no dx."""
    return 2 * ROWS * LENGTH * GATES[kind] * UNITS * (2 * FEATURES + 3 * UNITS)


def ours(kind: str, steps: int) -> Measurement:
    """Forward, backward and update of one microbatch."""
    layers = [{kind: {"units": UNITS}}, {"dense": {"units": CLASSES}}]
    network = build(NetworkSpec.model_validate({"layers": layers, "loss": "softmax_cross_entropy"}), (LENGTH, FEATURES))
    return training_step(network, ROWS, steps, WARM_UP_STEPS)


def torch(kind: str) -> Measurement:
    (result,) = run_peer(
        "torch_recurrent.py", "--kind", kind, "--units", UNITS, "--features", FEATURES, "--length", LENGTH,
        "--batch", ROWS, "--steps", STEPS,
    )  # fmt: skip
    return {"samples_per_s": result["samples_per_s"], "step_ms": result["ms_per_step"]}


def main() -> None:
    options = Options.parse(__doc__, 5)
    stay_on_one_core()
    contenders: dict[str, Callable[[], Measurement]] = {
        "large_product": partial(large_product, options.size(20, 1), WARM_UP_STEPS)
    }
    for kind in GATES:
        contenders[kind] = partial(ours, kind, options.size(STEPS, 1))
        contenders[f"torch_{kind}"] = Peer(partial(torch, kind))
    comparison = Comparison(options, contenders)
    with threadpool_limits(1):
        comparison.run()
    peak = comparison.median("large_product", "operations_per_s")
    shares = {}
    for kind in GATES:
        comparison.ratio("samples_per_s", kind, f"torch_{kind}", at_least=FLOOR[kind])
        shares[kind] = rounded(product_operations(kind) / peak / (comparison.median(kind, "step_ms") / 1e3))
    print_document(comparison.document("recurrent", share_of_products=shares))


if __name__ == "__main__":
    main()
