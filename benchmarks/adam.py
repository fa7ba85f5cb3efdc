"""An update with Adam of 25 million values by one thread, as a parameter server makes it block by block, against a
copy in memory and PyTorch's fused Adam.

`traffic_GB_per_s` is that of seven arrays in an update: weights and both moments are read and written, the gradient is
read; of two in a copy. `compiled` is the form of the extra `fast`, with the same bits; without the extra it is left
out.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
from comparison import Comparison, Measurement, Options, Peer, print_document, run_peer
from one_core import seconds_per_call, stay_on_one_core
from threadpoolctl import threadpool_limits

from raydient.server.parameters.blocks import Blocks
from raydient.server.parameters.rule import UpdateRule, build_rule
from raydient.server.parameters.update import Updater
from raydient.server.parameters.weights import Weights
from raydient.spec.training import Training
from raydient.steps.gradient import GradientLayout
from raydient.steps.ranges import PIECE

VALUES, UPDATES, WARM_UP = 25_000_000, 3, 1
UPDATED, COPIED, VALUE_BYTES = 7, 2, 4


def measurement(seconds: float, arrays: int, values: int) -> Measurement:
    return {"ms": 1e3 * seconds, "traffic_GB_per_s": arrays * VALUE_BYTES * values / seconds / 1e9}


class Ours:
    """An updater with its arrays."""

    def __init__(self, rule: UpdateRule, values: int, executor: ThreadPoolExecutor) -> None:
        generator = np.random.default_rng(0)
        weights = generator.standard_normal(values, np.float32)
        self._gradient = GradientLayout(values).zeros()
        self._gradient.vector[:] = generator.standard_normal(values, np.float32)
        state = [np.zeros_like(weights) for _ in rule.optimizer.state]
        blocks = Blocks([*range(0, values, PIECE), values], 1, 1, executor)
        self._updater, self._step, self._values = Updater(Weights(weights, state, rule), blocks), 0, values

    def __call__(self) -> Measurement:
        return measurement(seconds_per_call(self._update, UPDATES, WARM_UP), UPDATED, self._values)

    def _update(self) -> None:
        self._updater.update(self._step, {(0, 1): self._gradient}, (0, 1))
        self._step += 1


def copy(source: np.ndarray, target: np.ndarray) -> Measurement:
    seconds = seconds_per_call(lambda: np.copyto(target, source), UPDATES, WARM_UP)
    return measurement(seconds, COPIED, len(source))


def torch(values: int) -> Measurement:
    (result,) = run_peer("torch_adam.py", "--values", values, "--steps", UPDATES)
    return measurement(result["ms_per_step"] / 1e3, UPDATED, values)


def main() -> None:
    options = Options.parse(__doc__, 5)
    stay_on_one_core()
    values = options.size(VALUES, 1 << 18)
    source = np.ones(values, np.float32)
    target = np.empty_like(source)
    rule = build_rule(Training.model_validate({"optimizer": "adam"}))
    with ThreadPoolExecutor(1) as executor, threadpool_limits(1, "blas"):
        contenders: dict[str, Callable[[], Measurement]] = {
            "copy": lambda: copy(source, target),
            "raydient": Ours(rule, values, executor),
            "PyTorch, fused": Peer(lambda: torch(values)),
        }
        if find_spec("numba") is not None:
            contenders["raydient, compiled"] = Ours(rule.for_size(values), values, executor)
        comparison = Comparison(options, contenders)
        comparison.run()
    comparison.ratio("traffic_GB_per_s", "raydient", "copy", at_least=0.65)
    comparison.ratio("traffic_GB_per_s", "raydient, compiled", "PyTorch, fused", at_least=0.8)
    comparison.ratio("ms", "raydient", "raydient, compiled")
    print_document(comparison.document("adam", values=values))


if __name__ == "__main__":
    main()
