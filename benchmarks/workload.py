"""The job that the benchmarks train, 784-512-512-10 on random data, and its rate once it is under way."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from raydient.server.embedded import train
from raydient.server.training.reports import Outcome, Progress, Report
from raydient.spec.job import JobSpec
from raydient.wire.terms import PHASES

WORKERS = 2
ROWS_PER_WORKER = 128
BATCH = WORKERS * ROWS_PER_WORKER
STEPS_PER_EPOCH, EPOCHS = 40, 10
FEWEST_EPOCHS = 3
"""One to warm up, one that ends after WARM_UP_STEPS, one that is timed."""
WARM_UP_STEPS = 50
"""Programs are compiled and memory is touched for the first time in these; not counted."""


def write_data(path: Path) -> None:
    """Random samples and labels: speed is measured here, not learning."""
    generator = np.random.default_rng(0)
    rows = BATCH * STEPS_PER_EPOCH
    x = generator.random((rows, 784), dtype=np.float32)
    np.savez(path, x=x, y=generator.integers(0, 10, rows))


def job(
    data: Path,
    microbatches: int | None,
    workers: int = WORKERS,
    strategy: str = "pack",
    epochs: int = EPOCHS,
    *,
    batch: int = BATCH,
) -> JobSpec:
    """The job; `microbatches` None is the default for its batch, `strategy` lays it out on a cluster's nodes."""
    return JobSpec.model_validate(
        {
            "dataset": {"uri": data.name, "split": {"test": 0.0}},
            "network": {
                "layers": [
                    {"dense": {"units": 512, "activation": "relu"}},
                    {"dense": {"units": 512, "activation": "relu"}},
                    {"dense": {"units": 10}},
                ],
                "loss": "softmax_cross_entropy",
            },
            "training": {
                "epochs": epochs,
                "batch_size": batch,
                "microbatches": microbatches,
                "optimizer": {"sgd": {"learning_rate": 0.01}},
            },
            "resources": {"workers": workers, "placement": {"strategy": strategy}},
        }
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """Steps in the steady state, by the parameter server's own clock; start and end of the run are not among them.

    Attributes:
        step_ms: wall time of a step.
        phases_ms: of a step by phase: forward, backward, push and wait are means over the workers, apply is the
            parameter server's. A worker's wait covers the server's apply.
    """

    step_ms: float
    phases_ms: dict[str, float]

    @property
    def samples_per_second(self) -> float:
        return BATCH / self.step_ms * 1e3


def pace_of_training(
    spec: JobSpec, data: Path, *, cluster: str = "local", transport: str = "auto", ray_address: str | None = None
) -> Pace:
    """Train the job from its start to its end, on processes of its own."""
    progress: list[Progress] = []

    def hear(report: Report) -> None:
        if isinstance(report, Progress):
            progress.append(report)

    with TemporaryDirectory(prefix="raydient-benchmark-") as directory:
        where = {"cluster": cluster, "ray_address": ray_address}
        finished = train(spec, data, directory=Path(directory), report=hear, transport=transport, **where)
    last = progress[-1]
    if finished.outcome is not Outcome.SUCCEEDED or any(last.restarts.values()):
        raise RuntimeError(f"training did not go through undisturbed: {finished.message or last.restarts}")
    first = next(p for p in progress if p.step >= WARM_UP_STEPS)
    steps = last.step - first.step
    begin, end = first.measurements, last.measurements
    spent = {phase: 1e3 * (end.phase_seconds[phase] - begin.phase_seconds[phase]) for phase in (*PHASES, "apply")}
    workers = {phase: spent[phase] / steps / spec.resources.workers.max for phase in PHASES}
    seconds = end.step_seconds_sum - begin.step_seconds_sum
    return Pace(1e3 * seconds / steps, {**workers, "apply": spent["apply"] / steps})
