"""Cost of measuring gradient health: a step in which it is measured against one in which it is not, and the default.

A worker and the parameter server's update, step by step in one process: what one of two workers computes of a batch,
then the update. The exchange is left out, which makes the share of a step look larger than it is. One step in so many
is measured, so the default costs that part of the difference.
"""

import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import chain

import numpy as np
from comparison import Comparison, Measurement, Options, print_document, rounded
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from workload import ROWS_PER_WORKER

from raydient.server.parameters.actions import Assign
from raydient.server.parameters.blocks import Blocks
from raydient.server.parameters.conductor import Conductor
from raydient.server.parameters.health import LayerSums, PieceMeter, measured_pieces
from raydient.server.parameters.position import Position
from raydient.server.parameters.requests import Request
from raydient.server.parameters.rule import build_rule
from raydient.server.parameters.shard import Shard
from raydient.server.parameters.update import Updater
from raydient.server.parameters.weights import Weights
from raydient.spec.job import Monitoring
from raydient.spec.network import Network as NetworkSpec
from raydient.spec.training import Training
from raydient.steps.gradient import Gradient, GradientLayout
from raydient.steps.ranges import pieces
from raydient.steps.schedule import Schedule, default_microbatches
from raydient.steps.tree import maximal_subtrees
from raydient.wire.channel import Assignment
from raydient.wire.terms import Terms
from raydient.workers.data import MemorySource
from raydient.workers.network import Network, build
from raydient.workers.worker import Worker

UNITS = (128, 512)
"""Width of both hidden layers of 784-units-units-10."""
BLOCK_STEPS = 40
MOST_PERCENT = 1.0
DEFAULT = Monitoring().gradient_health_every


def network_of(units: int) -> Network:
    hidden = {"dense": {"units": units, "activation": "relu"}}
    layers = [hidden, hidden, {"dense": {"units": 10}}]
    return build(NetworkSpec.model_validate({"layers": layers, "loss": "softmax_cross_entropy"}), (784,))


class Steps:
    """A job without end on one worker, whose channel this is: a push goes straight to the parameter server."""

    pulled = ()
    length = None
    encoded = None
    travels = False
    nodes = staticmethod(maximal_subtrees)

    def __init__(self, network: Network, every: int, executor: Executor) -> None:
        microbatches, size = default_microbatches(ROWS_PER_WORKER), network.layout.size
        schedule = Schedule(ROWS_PER_WORKER * 100, 0, 2**20, ROWS_PER_WORKER, microbatches, every)
        layers = [(layer.name, layer.rectified_units) for layer in network.layers]
        gradient = GradientLayout(size, sum(units for _, units in layers))
        self.terms = Terms(gradient, microbatches, len(network.metric_names))
        self.weights = np.empty(size, np.float32)
        network.initialize(0, self.weights)
        self._slots = [gradient.zeros() for _ in range(microbatches)]
        rule, layout, depth = build_rule(Training()), network.layout, self.terms.slots.bit_length()
        updater = Updater(Weights(self.weights, [], rule), Blocks(pieces(layout), depth, 1, executor))
        self._shard = Shard(layout, updater, PieceMeter(measured_pieces(layout)))
        position = Position(0, 0, np.zeros(1 + self.terms.sums))
        self._conductor = Conductor(schedule, position, rule, LayerSums(layout, layers))
        generator = np.random.default_rng(0)
        x = generator.random((schedule.train_rows, 784), dtype=np.float32)
        y = generator.integers(0, 10, len(x)).astype(np.int32)
        data = MemorySource.of({"train/x/input": x, f"train/y/{network.output.name}": y})
        self._worker = Worker(network=network, schedule=schedule, seed=0, data=data, channel=self)
        self._conductor.attached(0)
        self._next = self._conductor.plan(1, [0], [1.0])
        self.block()  # programs are compiled and memory is touched for the first time

    def slot(self, index: int) -> Gradient:
        return self._slots[index]

    def send_part(self, round_: int, node: tuple[int, int], slot: int, start: int) -> None:
        """Do nothing: the gradient stays in its slot."""

    def push(
        self, round_: int, node: tuple[int, int], slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        _, actions = self._conductor.push(round_, node, self._slots[slot or 0], sums.copy())
        while actions and isinstance(actions[0], Request):
            actions = self._conductor.answered(0, self._shard.answer(actions[0]))
        self._next = actions

    def block(self) -> Measurement:
        """Some steps, and what one takes of the processor, which what else runs disturbs less than the clock's time."""
        spent = []
        for _ in range(BLOCK_STEPS):
            assign = next(action for action in self._next if isinstance(action, Assign))
            began = time.thread_time()
            self._worker.compute(Assignment(assign.round, assign.first, assign.last), 0.0)
            spent.append(time.thread_time() - began)
        return {"step_ms": 1e3 * statistics.median(spent)}

    def wait(self) -> Assignment | None:
        """Not used: steps are taken by `block`."""
        return None

    def close(self) -> None:
        """Nothing is open."""


def main() -> None:
    options = Options.parse(__doc__, 25)
    names = {units: f"784-{units}-{units}-10" for units in UNITS}
    with ThreadPoolExecutor(1) as executor, threadpool_limits(limits=1, user_api="blas"):
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        contenders = chain.from_iterable(
            (
                (f"{names[units]}, not measured", Steps(network_of(units), 0, executor).block),
                (f"{names[units]}, measured", Steps(network_of(units), 1, executor).block),
            )
            for units in UNITS
        )
        comparison = Comparison(options, dict(contenders))
        comparison.run()
    percent = {}
    for name in names.values():
        off, on = (comparison.median(f"{name}, {word}", "step_ms") for word in ("not measured", "measured"))
        comparison.ratio("step_ms", f"{name}, measured", f"{name}, not measured")
        percent[name] = 100 * (on - off) / DEFAULT / off
    print_document(
        comparison.document(
            "gradient_health",
            default_every=DEFAULT,
            default_percent_of_a_step={name: rounded(share) for name, share in percent.items()},
            at_most_percent=MOST_PERCENT,
            kept=max(percent.values()) <= MOST_PERCENT,
        )
    )


if __name__ == "__main__":
    main()
