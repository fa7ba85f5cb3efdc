"""What the job store keeps, as plain values: neither SQL nor protobuf."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath

from raydient.server.training.reports import CheckpointTaken, EpochEnded, Notice, Progress
from raydient.spec.job import JobSpec, WorkerRange

from .states import State


def allowed_workers(least: int, most: int, scaled: int) -> WorkerRange:
    """How many workers a job may have: those of its specification, unless `scaled` is another number than 0."""
    return WorkerRange(min=min(least, scaled), max=scaled) if scaled else WorkerRange(min=least, max=most)


@dataclass(frozen=True, slots=True)
class Job:
    """A training job and what is known of it. Times are aware, UTC.

    Attributes:
        id: `[0-9a-z]`, chosen by the service.
        request: the caller's idempotency key, empty if none; `fingerprint` is the SHA-256 of what came with it.
        number: place in the order of creation, from 1; 0 before it is stored.
        reason, message: why it is in this state: a stable word and a sentence; empty where there is nothing to say.
        started: when the first step of the first run was about to begin.
        run: how often a coordinator was started; reports of an earlier run are ignored.
        report: number of the last report of this run that was applied.
        attachment: with it a later server finds the run again; secret; empty before there is one.
        sequence: number of the job's newest event that is kept.
        revision: grows by one with every change of the record; the key of compare-and-set.
        progress: the newest, of the last run that reported any.
        last_epoch: the newest epoch that is complete.
        top_step, checkpoint_step: highest step ever reported, step of the newest checkpoint.
        failed_checkpoints, damaged_checkpoints: how many could not be written, how many were found damaged.
        checkpoint_problem: the newest of these, a sentence; empty once a checkpoint was taken after it.
        losses: coordinators lost in a row without a new step or checkpoint in between.
        advanced: there was a new step or checkpoint since the last loss.
        digest: of the final weights; empty unless SUCCEEDED.
        scaled: workers that were asked for since; 0 if the specification's number holds.
        pausing: it is to be PAUSED as soon as its run has ended.
    """

    id: str
    spec: JobSpec
    created: datetime
    request: str = ""
    fingerprint: str = ""
    number: int = 0
    state: State = State.QUEUED
    reason: str = ""
    message: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    run: int = 0
    report: int = 0
    attachment: str = field(default="", repr=False)
    sequence: int = 0
    revision: int = 0
    progress: Progress | None = None
    last_epoch: EpochEnded | None = None
    top_step: int = 0
    checkpoint_step: int = 0
    failed_checkpoints: int = 0
    damaged_checkpoints: int = 0
    checkpoint_problem: str = ""
    losses: int = 0
    advanced: bool = False
    digest: str = ""
    scaled: int = 0
    pausing: bool = False

    @property
    def epochs(self) -> int:
        """Number of the newest epoch that is complete; 0 if there is none."""
        return self.last_epoch.epoch if self.last_epoch is not None else 0

    @property
    def workers(self) -> WorkerRange:
        """How many it may have now."""
        asked = self.spec.resources.workers
        return allowed_workers(asked.min, asked.max, self.scaled)

    @property
    def display_name(self) -> str:
        """What people call it; may be empty."""
        return self.spec.display_name

    @property
    def dataset(self) -> str:
        """Where its data is: `dataset.uri` of the specification."""
        return self.spec.dataset.uri

    @property
    def labels(self) -> Mapping[str, str]:
        """Of the specification."""
        return self.spec.labels


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job as lists show it, without its specification. Attributes as those of Job."""

    id: str
    number: int
    display_name: str
    dataset: str
    workers: WorkerRange
    labels: Mapping[str, str]
    created: datetime
    state: State
    reason: str
    message: str
    started: datetime | None
    ended: datetime | None
    run: int
    progress: Progress | None
    last_epoch: EpochEnded | None
    digest: str
    checkpoint_step: int
    failed_checkpoints: int
    damaged_checkpoints: int
    checkpoint_problem: str


@dataclass(frozen=True, slots=True)
class UnreadableJob:
    """A stored job that this version cannot read, with what can be told of it.

    Attributes:
        state: the stored one; FAILED if this version does not know it.
        problem: what cannot be read and why, one line.
    """

    id: str
    number: int
    created: datetime | None
    state: State
    display_name: str
    dataset: str
    problem: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The job is in another state now."""

    state: State
    reason: str = ""
    message: str = ""
    digest: str = ""


Payload = StateChanged | Progress | EpochEnded | CheckpointTaken | Notice


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job.

    Events are numbered from 1 on without gaps. All but progress are stored, and some age out (see `ageing`); a progress
    bears the number of the event before it.
    """

    job: str
    sequence: int
    time: datetime
    payload: Payload

    @property
    def kept(self) -> bool:
        """It is in the store and its number its own."""
        return not isinstance(self.payload, Progress)

    @property
    def final(self) -> bool:
        """The job has ended with it; events follow only if the job is resumed."""
        return isinstance(self.payload, StateChanged) and self.payload.state.terminal


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One evaluation result. An epoch that is repeated after a loss replaces its points."""

    epoch: int
    split: str
    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True)
class Change:
    """What one committed transaction did to a job: `before` is None if it was created, `after` None if deleted."""

    before: Job | UnreadableJob | None
    after: Job | None
    events: tuple[JobEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list: in any of these states (all if empty) and with all of these labels."""

    states: frozenset[State] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """An uploaded file.

    Attributes:
        id: SHA-256 of its bytes, hex.
        name: the file's name where it came from, without folders.
        number: place in the order of upload, from 1; 0 before it is stored.
    """

    id: str
    name: str
    size_bytes: int
    created: datetime
    number: int = 0

    @property
    def suffix(self) -> str:
        """Tells the reader the format: `.csv`, `.npz`."""
        return PurePath(self.name).suffix.lower()
