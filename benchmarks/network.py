"""The network engine on one core against PyTorch eager: training steps with SGD, and predictions.

mlp is 784-512-512-10; cnn is convolution 3 x 3 of 32, convolution 3 x 3 of 64, max pooling, dense 128, dense 10 on
28 x 28 x 1; both with ReLU and softmax cross-entropy. What is timed is the processor's time. `matrix_product` is the
share of a step that matrix products would take at the rate that this core reaches on large ones: no step can be faster.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from comparison import Comparison, Measurement, Options, Peer, print_document, rounded, run_peer
from threadpoolctl import threadpool_limits

from raydient.server.parameters.blocks import BLOCK
from raydient.server.parameters.rule import build_rule
from raydient.spec.network import Network as NetworkSpec
from raydient.spec.training import Training
from raydient.wire.memory import Bundle
from raydient.workers.network import Pass, Program, build

RELU = {"activation": "relu"}
MODELS = {
    "mlp": ([{"dense": {"units": 512, **RELU}}] * 2, (784,)),
    "cnn": (
        [
            {"conv2d": {"filters": 32, "kernel_size": 3, **RELU}},
            {"conv2d": {"filters": 64, "kernel_size": 3, **RELU}},
            "max_pooling2d",
            "flatten",
            {"dense": {"units": 128, **RELU}},
        ],
        (28, 28, 1),
    ),
}
WARM_UP_STEPS = 5
LARGE = 768
PRODUCTS = 20
GROWTH_OF = ("mlp train 32",)
PEAK = "matrix product"


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: `steps` of them are timed in a round, and PyTorch's time is at least `floor` times ours."""

    model: str
    batch: int
    predict: bool
    steps: int
    floor: float

    @property
    def name(self) -> str:
        return f"{self.model} {'predict' if self.predict else 'train'} {self.batch}"


CASES = (
    Case("mlp", 32, False, 200, 1.2),
    Case("mlp", 128, False, 60, 1.25),
    Case("mlp", 512, False, 20, 1.1),
    Case("cnn", 64, False, 10, 1.05),
    Case("mlp", 1, True, 2000, 1.0),
    Case("mlp", 256, True, 80, 1.0),
    Case("cnn", 1, True, 200, 1.0),
    Case("cnn", 256, True, 5, 1.0),
)


class Ours:
    """A program of a case's model, with the parameter server's optimizer."""

    def __init__(self, case: Case) -> None:
        layers, shape = MODELS[case.model]
        description = {"layers": [*layers, {"dense": {"units": 10}}], "loss": "softmax_cross_entropy"}
        network = build(NetworkSpec.model_validate(description), shape)
        self._case, self._program = case, Program(network, case.batch)
        shared = Bundle.allocate(dict.fromkeys(("weights", "gradient"), ("<f4", (network.layout.size,))))
        self._vector, self._gradient = shared.arrays.values()
        self._scratch = np.empty((2, BLOCK), np.float32)
        network.initialize(0, self._vector)
        self._weights, self._gradients = network.bind(self._vector), network.bind(self._gradient)
        self._rule = build_rule(Training())
        generator = np.random.default_rng(0)
        self._program.x[...] = generator.random(self._program.x.shape)
        self._program.y[...] = generator.integers(0, 10, case.batch)
        matrices = (layer.operations * case.batch for layer in network.layers if layer.parameters)
        first, *others = matrices
        # backward: by the parameters and, but for the first layer, by its input, each as many operations as forward
        self.operations = first + sum(others) if case.predict else 2 * first + 3 * sum(others)

    def measure(self, steps: int) -> Measurement:
        step = self._predict if self._case.predict else self._train
        return {"step_ms": 1e3 * seconds_per_call(step, steps)}

    def resident_growth(self, steps: int) -> int:
        """By how many bytes this process grows in so many steps."""
        before = resident_bytes()
        for _ in range(steps):
            self._train()
        return resident_bytes() - before

    def _predict(self) -> None:
        self._program.predict(self._weights)

    def _train(self) -> None:
        self._program.forward(self._weights, Pass(training=True))
        self._program.backward(self._weights, self._gradients, 1 / self._case.batch)
        for first in range(0, self._vector.size, BLOCK):
            weights, gradient = (a[first : first + BLOCK] for a in (self._vector, self._gradient))
            self._rule.update(0, weights, gradient, (), self._scratch[:, : weights.size])


def resident_bytes() -> int:
    """Memory of this process that is in use, on Linux; elsewhere 0."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def seconds_per_call(call: Callable[[], object], calls: int) -> float:
    for _ in range(WARM_UP_STEPS):
        call()
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) / calls


def theirs(case: Case) -> Measurement:
    options = ["--model", case.model, "--batch", case.batch, "--steps", case.steps, *["--predict"] * case.predict]
    (measured,) = run_peer("torch_network.py", *options)
    return {"step_ms": measured["ms_per_step"]}


def peak() -> Measurement:
    """How many operations a second large matrix products come to."""
    a, b, c = np.random.default_rng(0).random((3, LARGE, LARGE), dtype=np.float32)
    return {"gigaflops": 2e-9 * LARGE**3 / seconds_per_call(lambda: np.matmul(a, b, out=c), PRODUCTS)}


def main() -> None:
    options = Options.parse(__doc__, 7)
    with threadpool_limits(limits=1, user_api="blas"):
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        ours = {case: Ours(case) for case in CASES}
        contenders: dict[str, Callable[[], Measurement]] = {PEAK: peak}
        for case in CASES:
            contenders[f"{case.name}, raydient"] = partial(ours[case].measure, options.size(case.steps, 1))
            contenders[f"{case.name}, PyTorch"] = Peer(partial(theirs, case))
        comparison = Comparison(options, contenders)
        comparison.run()
        grown = {
            case.name: ours[case].resident_growth(options.size(1000, 1)) for case in CASES if case.name in GROWTH_OF
        }
    rate, shares = 1e9 * comparison.median(PEAK, "gigaflops"), {}
    for case, measured in ours.items():
        name = f"{case.name}, raydient"
        comparison.ratio("step_ms", f"{case.name}, PyTorch", name, at_least=case.floor)
        shares[case.name] = rounded(1e3 * measured.operations / rate / comparison.median(name, "step_ms"))
    print_document(comparison.document("network", matrix_product=shares, resident_growth_bytes_in_1000_steps=grown))


if __name__ == "__main__":
    main()
