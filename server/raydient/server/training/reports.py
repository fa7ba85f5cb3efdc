"""Reports of a coordinator to the service: plain values, numbered, delivered in order and at least once."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from raydient.steps.amendments import Amendment
from raydient.steps.measurements import Measurements


class Outcome(StrEnum):
    """The way in which a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "interrupted"
    """An order ended it after a checkpoint, from which a later run goes on. Coordinators of
    earlier builds, which an upgrade of the service leaves running, send this value."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The position of training and its measurements.

    It is sent a few times a second at most, and a newer one replaces an older one that is not delivered yet. `step`,
    `samples` and the measured sums fall back when a parameter server is lost; `restarts` only grows within a run.

    Attributes:
        step, steps: number of updates applied, and in all.
        epoch, epochs: number of epochs completed, and in all.
        samples: number of training samples consumed.
        samples_per_second: rate over the last report interval.
        workers_alive, workers_wanted: number of workers that take part, and that the job should have.
        measurements: measured by the parameter server; the gradient health may be an earlier server's.
        restarts: number of members replaced, by role.
        refused: number of connections that processes of the run have closed, by reason; see `wire.refusals`.
        workers_minimum: number of workers below which training is suspended after a grace period.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    samples: int
    samples_per_second: float
    workers_alive: int
    workers_wanted: int
    measurements: Measurements
    restarts: Mapping[str, int] = field(default_factory=dict)
    workers_minimum: int = 1
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """An epoch is complete, its evaluation included.

    Attributes:
        epoch: number of the epoch, from 1.
        step: number of updates applied.
        seconds: wall time of the epoch, evaluation included.
        metrics: results by split (`train`, `test`) and then by name (`loss`, `accuracy`, ...).
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
    """An event for the user that changes no state, for example the loss of a member.

    `reason` is a stable UPPER_SNAKE_CASE word, `message` one sentence.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Amended:
    """An amendment of the job is in force from its round on, with the values in it."""

    amendment: Amendment


@dataclass(frozen=True, slots=True)
class Waiting:
    """Training is suspended or cannot begin, for the reason in `message`; if that is empty, training goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """The workers are attached, and training begins after `step` updates with `workers` workers."""

    step: int
    workers: int


@dataclass(frozen=True, slots=True)
class WentBack:
    """The epochs after `last` no longer count: they are computed again, in another order of arrival.

    Only the epochs of a job that is not synchronous have other results then.

    Attributes:
        last: the newest epoch that counts; None if none does.
    """

    last: EpochEnded | None = None

    @property
    def epoch(self) -> int:
        """Number of the newest epoch that counts; 0 if none does."""
        return self.last.epoch if self.last is not None else 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The last report of a run.

    Attributes:
        step: number of updates applied.
        digest: digest of the model; empty unless the run succeeded.
        reason: stable word for a failure (`NON_FINITE`, `WORKER_LOST`, ...), for an end before the last epoch
            (`STOPPED_EARLY`), or NUMERICS_MIXED; may be empty.
        message: one sentence for the user; may be empty.
        epoch: number of the epoch whose weights the model has, from 1; 0: it has those after the last step.
    """

    outcome: Outcome
    step: int
    digest: str = ""
    reason: str = ""
    message: str = ""
    epoch: int = 0


Report = Started | Progress | EpochEnded | CheckpointTaken | Notice | Amended | Waiting | WentBack | Finished


class NumberedReport(NamedTuple):
    """A report and its number, from 1. The number of an `EpochEnded` is 0, because its `epoch` identifies it."""

    number: int
    report: Report


_ADAPTERS: dict[str, TypeAdapter[Any]] = {kind.__name__: TypeAdapter(kind) for kind in Report.__args__}


def to_json(report: Report) -> dict[str, Any]:
    """Return the JSON form of a report: its type and its fields."""
    content = flatten(report) if isinstance(report, Progress) else asdict(report)
    return {"type": type(report).__name__, **content}


def from_json(data: Mapping[str, Any]) -> Report:
    """Inverse of `to_json`. Raises ValueError if `data` is not a report."""
    content = dict(data)
    name = content.pop("type", "")
    if name == Progress.__name__:
        return unflatten(content)
    if name not in _ADAPTERS:
        raise ValueError("a report of unknown type")
    report: Report = _ADAPTERS[name].validate_python(content)
    return report


def flatten(progress: Progress) -> dict[str, Any]:
    """Return the fields of a progress and of its measurements in one mapping: its form in JSON and in the API."""
    content = asdict(progress)
    measured = content.pop("measurements")
    return {**measured, **content}


def unflatten(content: Mapping[str, Any]) -> Progress:
    """Inverse of `flatten`, for values from JSON. Raises ValueError if a value is missing or of the wrong type."""
    measured = {f.name: content[f.name] for f in fields(Measurements) if f.name in content}
    progress: Progress = _ADAPTERS[Progress.__name__].validate_python({**content, "measurements": measured})
    return progress
