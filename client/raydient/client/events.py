"""Events of a job, as `Job.watch` yields them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from raydient.v1.training_job_pb2 import TrainingJobEvent

from .states import state_name


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job. Kinds that this version of the client does not know are plain events.

    Attributes:
        sequence: number of the event within its job.
        time: when the server received it, UTC.
        message: the event as the service sent it (message `raydient.v1.TrainingJobEvent`).
    """

    sequence: int
    time: datetime
    message: TrainingJobEvent = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class StateChanged(Event):
    """The job has another state.

    Attributes:
        state: the new state, such as `RUNNING`.
        reason: a stable UPPER_SNAKE_CASE word; empty if there is nothing to explain.
        text: one sentence for people, or empty.
        digest: SHA-256 of the final weights if the job succeeded, else empty.
    """

    state: str
    reason: str
    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Progressed(Event):
    """The job made progress within an epoch. A newer event replaces an older one that is not sent yet.

    Attributes:
        step, steps: updates so far, and their number in the whole job.
        epoch, epochs: complete epochs, and their number in the whole job.
        loss: loss of the last step.
        samples_per_second: speed of training.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    samples_per_second: float


@dataclass(frozen=True, slots=True)
class EpochEnded(Event):
    """An epoch is complete, with its evaluation.

    Attributes:
        epoch: its number, from 1.
        step: updates by then.
        seconds: its duration.
        metrics: values by part (`train`, `test`), then by name (`loss`).
    """

    epoch: int
    step: int
    seconds: float
    metrics: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class CheckpointTaken(Event):
    """A checkpoint is durable.

    Attributes:
        step: updates that it contains.
        seconds: time that writing it took.
        size_bytes: size of its arrays.
    """

    step: int
    seconds: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Noticed(Event):
    """An event that changes no state: a worker joined or was lost, a setting is doubtful.

    Attributes:
        reason: a stable UPPER_SNAKE_CASE word.
        text: one sentence for people.
    """

    reason: str
    text: str


def event_of(message: TrainingJobEvent) -> Event:
    """Return the event in a message."""
    common = message.sequence, message.time.ToDatetime(UTC), message
    match message.WhichOneof("event"):
        case "state_changed":
            change = message.state_changed
            return StateChanged(*common, state_name(change.state), change.reason, change.message, change.digest)
        case "progress":
            made = message.progress
            counts = made.step, made.steps, made.epoch, made.epochs
            return Progressed(*common, *counts, made.loss, made.samples_per_second)
        case "epoch_ended":
            ended = message.epoch_ended
            metrics: dict[str, dict[str, float]] = {}
            for metric in ended.metrics:
                metrics.setdefault(metric.split, {})[metric.name] = metric.value
            return EpochEnded(*common, ended.epoch, ended.step, ended.duration.ToTimedelta().total_seconds(), metrics)
        case "checkpoint_taken":
            taken = message.checkpoint_taken
            return CheckpointTaken(*common, taken.step, taken.duration.ToTimedelta().total_seconds(), taken.size_bytes)
        case "notice":
            return Noticed(*common, message.notice.reason, message.notice.message)
    return Event(*common)
