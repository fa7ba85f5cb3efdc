"""Training against the same two worker processes computing without any exchange, and where the difference goes.

The exchange-free processes run the real worker's loop on a channel that gives out the next step at once and takes
gradients to nowhere: the same gather, forward and backward pass, the same programs, weights that never change.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from comparison import Comparison, Measurement, Options, own_session, print_document, rounded
from numpy.typing import NDArray
from workload import (
    BATCH,
    EPOCHS,
    FEWEST_EPOCHS,
    ROWS_PER_WORKER,
    WARM_UP_STEPS,
    WORKERS,
    job,
    pace_of_training,
    write_data,
)

from raydient.server.clusters.member import BLAS_ENVIRONMENT
from raydient.server.training.preparation import prepare
from raydient.spec.job import JobSpec
from raydient.steps.arrays import aligned_zeros
from raydient.steps.gradient import Gradient, GradientLayout
from raydient.steps.schedule import Schedule
from raydient.steps.tree import maximal_subtrees
from raydient.wire.channel import Assignment
from raydient.wire.terms import Terms
from raydient.workers.data import MemorySource
from raydient.workers.network import Network, build
from raydient.workers.worker import Worker

FULL, FREE = "training", "computing without exchange"
RATE = "samples_per_second"
MICROBATCHES = WORKERS


class SolitaryChannel:
    """A worker's channel without a peer: it assigns leaf `worker` of each step at once, at the times in `began`."""

    pulled = ()
    length = None
    encoded = None
    travels = False
    nodes = staticmethod(maximal_subtrees)

    def __init__(self, network: Network, schedule: Schedule, worker: int, barrier: Barrier) -> None:
        units = sum(layer.rectified_units for layer in network.layers)
        self.terms = Terms(GradientLayout(network.layout.size, units), MICROBATCHES, network.sums)
        self.weights = aligned_zeros((network.layout.size,), np.float32)
        network.initialize(0, self.weights)
        self.began: list[float] = []
        self._slots = [self.terms.gradient.zeros() for _ in range(MICROBATCHES)]
        self._steps, self._worker, self._barrier = schedule.steps, worker, barrier

    def slot(self, index: int) -> Gradient:
        return self._slots[index]

    def wait(self) -> Assignment | None:
        step = len(self.began)
        if step == WARM_UP_STEPS:
            self._barrier.wait()
        self.began.append(time.perf_counter())
        if step == self._steps:
            return None
        return Assignment(step, self._worker, self._worker + 1)

    def send_part(self, round_: int, node: tuple[int, int], slot: int, start: int) -> None:
        """Discard the part."""

    def push(
        self, round_: int, node: tuple[int, int], slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        """Discard the push."""

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Task:
    """A job for the processes: its specification, its rounds and the folder with its arrays."""

    spec: JobSpec
    schedule: Schedule
    directory: Path


def compute(worker: int, task: Task, barrier: Barrier, answer: Connection) -> None:
    """One of the processes; answers with the seconds of each step after the warm-up."""
    own_session()
    # One copy of the data for all of them, mapped, as in training.
    x, y = (np.load(task.directory / f"{name}.npy", mmap_mode="r") for name in "xy")
    network = build(task.spec.network, x.shape[1:])
    data = MemorySource.of({"train/x/input": x, f"train/y/{network.output.name}": y})
    channel = SolitaryChannel(network, task.schedule, worker, barrier)
    seed = task.spec.training.seed
    Worker(network=network, schedule=task.schedule, seed=seed, data=data, channel=channel).run()
    answer.send([b - a for a, b in pairwise(channel.began[WARM_UP_STEPS:])])


def without_exchange(task: Task) -> Measurement:
    """The rates of the processes added up, and how much longer the slower one takes, step by step, than their mean."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(WORKERS), []
    for worker in range(WORKERS):
        receiving, sending = context.Pipe(duplex=False)
        context.Process(target=compute, args=(worker, task, barrier, sending), daemon=True).start()
        sending.close()  # so that a process that ends without an answer ends the waiting for it
        answers.append(receiving)
    steps = [answer.recv() for answer in answers]
    slower = statistics.mean(max(together) - statistics.mean(together) for together in zip(*steps, strict=True))
    return {
        RATE: sum(ROWS_PER_WORKER / statistics.mean(own) for own in steps),
        "step_ms": 1e3 * statistics.mean(map(statistics.mean, steps)),
        "slower_than_mean_ms": 1e3 * slower,
    }


def training(spec: JobSpec, data: Path) -> Measurement:
    pace = pace_of_training(spec, data)
    phases = {f"{phase}_ms": spent for phase, spent in pace.phases_ms.items()}
    return {RATE: pace.samples_per_second, "step_ms": pace.step_ms, **phases}


def where_the_rest_goes(comparison: Comparison) -> dict[str, float]:
    """A step of training minus a step without exchange, in milliseconds, by cause; from medians."""

    def full(quantity: str) -> float:
        return comparison.median(FULL, quantity)

    free_step = comparison.median(FREE, "step_ms")
    slower = comparison.median(FREE, "slower_than_mean_ms")
    computing = full("forward_ms") + full("backward_ms")
    return {
        "step": rounded(full("step_ms")),
        "step without exchange": rounded(free_step),
        "difference": rounded(full("step_ms") - free_step),
        "  computing, slower than without exchange": rounded(computing - free_step),
        "  push": rounded(full("push_ms")),
        "  apply": rounded(full("apply_ms")),
        "  waiting for the slower worker, as its steps without exchange tell": rounded(slower),
        "  the rest of waiting: notices, wake-ups, status": rounded(full("wait_ms") - full("apply_ms") - slower),
    }


def main() -> None:
    options = Options.parse(__doc__, 5)
    os.environ.update(BLAS_ENVIRONMENT)  # for the processes that are started here
    with TemporaryDirectory(prefix="raydient-benchmark-") as name:
        directory = Path(name)
        data = directory / "random.npz"
        write_data(data)
        spec = job(data, MICROBATCHES, epochs=options.size(EPOCHS, FEWEST_EPOCHS))
        prepared = prepare(spec, data)
        np.save(directory / "x.npy", prepared.dataset.train.x)
        np.save(directory / "y.npy", prepared.dataset.train.y)
        comparison = Comparison(
            options,
            {
                FULL: lambda: training(spec, data),
                FREE: lambda: without_exchange(Task(spec, prepared.schedule, directory)),
            },
        )
        comparison.run()
    comparison.ratio(RATE, FULL, FREE, at_least=0.75)
    print_document(
        comparison.document("exchange_free", batch=BATCH, milliseconds_of_a_step=where_the_rest_goes(comparison))
    )


if __name__ == "__main__":
    main()
