"""The reports of a coordinator to the service: plain values, numbered, delivered at least once and in order."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from raydient.steps.health import GradientHealth


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # the service asked it to stop and it left a checkpoint; a later run goes on from there


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the job is; sent a few times a second at the most, a newer one replaces an older one not yet delivered.

    Counters only grow within a run of the coordinator, except `step` and `samples`, which fall back to the
    checkpoint's when a parameter server is lost.

    Attributes:
        step, steps: updates applied, of total.
        epoch, epochs: epochs completed, of total.
        samples: training samples consumed so far.
        samples_per_second: over the last report interval.
        learning_rate: of the last update.
        loss: of the last step, training part.
        workers_alive, workers_wanted: processes at work, and how many there shall be.
        workers_minimum: with fewer it does not go on for long.
        restarts: members replaced, by role.
        phase_seconds: seconds spent since the run began, by phase (forward, backward, push, wait, apply), all workers.
        step_seconds_buckets: cumulative counts of steps that took at most each of STEP_SECONDS_BUCKETS, then of all.
        step_seconds_sum: sum over all steps, seconds.
        exchange_bytes: payload of the data plane since the run began, by direction (push, pull).
        workers_minimum: worker processes without which training waits.
        gradient_health: by layer, as measured last; None before the first measurement.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    samples: int
    samples_per_second: float
    learning_rate: float
    loss: float
    workers_alive: int
    workers_wanted: int
    restarts: Mapping[str, int] = field(default_factory=dict)
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    step_seconds_buckets: tuple[int, ...] = ()
    step_seconds_sum: float = 0.0
    exchange_bytes: Mapping[str, int] = field(default_factory=dict)
    workers_minimum: int = 1
    gradient_health: GradientHealth | None = None


STEP_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """An epoch is complete, its evaluation included.

    Attributes:
        epoch: number of the epoch, from 1.
        step: updates applied.
        seconds: wall time of the epoch, evaluation included.
        metrics: by split (`train`, `test`) and then by name (`loss`, `accuracy`, ...).
    """

    epoch: int
    step: int
    seconds: float
    metrics: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class CheckpointTaken:
    """A checkpoint is complete and durable."""

    step: int
    seconds: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth telling the user that changes no state: a member joined, was lost, a new plan took effect.

    `reason` is a stable UPPER_SNAKE_CASE word, `message` one sentence.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run stands still, or cannot begin, for the reason in `message`; empty: it goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """All members are attached and the first step (or the one after the checkpoint) is about to run."""

    step: int
    workers: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last report of a run.

    Attributes:
        outcome: how it ended.
        step: updates applied.
        digest: of the final weights; empty unless succeeded.
        reason: stable word for a failure (`NON_FINITE`, `WORKER_LOST`, ...), else empty.
        message: one sentence for the user, else empty.
    """

    outcome: Outcome
    step: int
    digest: str = ""
    reason: str = ""
    message: str = ""


Report = Started | Progress | EpochEnded | CheckpointTaken | Notice | Waiting | Finished


class NumberedReport(NamedTuple):
    """A report and its number, from 1. The number of an `EpochEnded` is 0, because its `epoch` identifies it."""

    number: int
    report: Report


_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    kind.__name__: TypeAdapter(kind)
    for kind in (Started, Progress, EpochEnded, CheckpointTaken, Notice, Waiting, Finished)
}


def to_json(report: Report) -> dict[str, Any]:
    """The JSON form of a report: its type and its fields."""
    return {"type": type(report).__name__, **asdict(report)}


def from_json(data: Mapping[str, Any]) -> Report:
    """The report of a JSON form; ValueError if it is none."""
    fields = dict(data)
    adapter = _ADAPTERS.get(fields.pop("type", ""))
    if adapter is None:
        raise ValueError("a report of unknown type")
    report: Report = adapter.validate_python(fields)
    return report
