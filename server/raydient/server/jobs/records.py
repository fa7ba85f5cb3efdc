"""The records of the job store as plain values, without SQL or protobuf."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import PurePath
from typing import Any

from raydient.server.training.reports import CheckpointTaken, EpochEnded, Notice, Progress
from raydient.spec.amending import amended
from raydient.spec.job import JobSpec, WorkerRange
from raydient.steps.amendments import Amendment
from raydient.workers.data import find_suffix

from .states import State

MODEL_SUFFIX = ".safetensors"
"""Suffix of the names of uploaded models."""


def allowed_workers(least: int, most: int, scaled: int) -> WorkerRange:
    """The range of a job's workers: that of its specification, or up to `scaled` unless that is 0."""
    return WorkerRange(min=min(least, scaled), max=scaled) if scaled else WorkerRange(min=least, max=most)


def _shown(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A new value of a field of a specification, in JSON form.

    Attributes:
        path: path of the field, such as `training.max_steps`.
        before, after: its values; None: without it.
    """

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path} {_shown(self.before)} -> {_shown(self.after)}"


@dataclass(frozen=True, slots=True)
class SpecUpdate:
    """An update of a job's specification.

    Attributes:
        number: place among the updates of the job, from 1.
        created: time at which it was accepted.
        changes: the new values.
        round, step: see `Amendment`.
    """

    number: int
    created: datetime
    changes: Sequence[FieldChange]
    round: int | None = None
    step: int = 0

    @property
    def amendment(self) -> Amendment:
        """The update as the processes of the job have it."""
        settings = {change.path: change.after for change in self.changes}
        return Amendment(self.number, settings, self.round, self.step)

    def __str__(self) -> str:
        return ", ".join(map(str, self.changes))


@dataclass(frozen=True, slots=True)
class Job:
    """A training job and its state. Times are aware, UTC.

    Attributes:
        id: characters of `[0-9a-z]`, chosen by the service.
        spec: its specification when it was created.
        request: the caller's idempotency key, empty if none; `fingerprint` is the SHA-256 of the request's body.
        number: place in the order of creation, from 1; 0 before it is stored.
        reason, message: the reason for the state: a stable word and a sentence; may be empty.
        started: time before the first step of the first run.
        run: number of coordinators started so far; reports of an earlier run are ignored.
        report: number of the last report of this run that was applied.
        attachment: address by which a later server attaches to the run; secret; empty before there is one.
        sequence: number of the job's newest event that is kept.
        revision: grows by one with every change of the record; the key of compare-and-set.
        progress: the newest progress, of the last run that reported any.
        last_epoch: the newest complete epoch.
        top_step, checkpoint_step: highest step ever reported, step of the newest checkpoint.
        failed_checkpoints, damaged_checkpoints: number of checkpoints that could not be written, that are damaged.
        checkpoint_problem: sentence about the newest such problem; empty after the next successful checkpoint.
        losses: coordinators lost in a row without a new step or checkpoint in between.
        advanced: there was a new step or checkpoint since the last loss.
        digest: digest of the final weights; empty unless SUCCEEDED.
        scaled: number of workers set by the user later; 0 if the specification's range holds.
        pausing: the job becomes PAUSED when its run has ended.
        updates: the updates of its specification, in the order of their numbers.
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
    updates: tuple[SpecUpdate, ...] = ()

    @property
    def current_spec(self) -> JobSpec:
        """The specification with all updates, also those that have not taken effect yet."""
        settings = [update.amendment.settings for update in self.updates]
        return amended(self.spec, *settings) if settings else self.spec

    @property
    def reported_step(self) -> int:
        """The highest step whose results have been reported."""
        return max(self.top_step, self.last_epoch.step if self.last_epoch is not None else 0)

    @property
    def amendments(self) -> list[Amendment]:
        """The updates for a run. None that is not in force takes effect before steps whose results were reported."""
        every = [update.amendment for update in self.updates]
        return [one if one.round is not None else replace(one, step=max(one.step, self.reported_step)) for one in every]

    @property
    def epochs(self) -> int:
        """Number of the newest epoch that is complete; 0 if there is none."""
        return self.last_epoch.epoch if self.last_epoch is not None else 0

    @property
    def workers(self) -> WorkerRange:
        """Range of workers that the job may have now."""
        asked = self.spec.resources.workers
        return allowed_workers(asked.min, asked.max, self.scaled)

    @property
    def display_name(self) -> str:
        """Name for people; may be empty."""
        return self.spec.display_name

    @property
    def dataset(self) -> str:
        """`dataset.uri` of the specification."""
        return self.spec.dataset.uri

    @property
    def labels(self) -> Mapping[str, str]:
        """`labels` of the specification."""
        return self.spec.labels


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a list, without its specification. Attributes as in `Job`."""

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
    """A stored job that this version cannot read.

    Attributes:
        state: the stored state; FAILED if this version does not know it.
        problem: the column that cannot be read, and why, in one line.
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
    """The job moved to another state."""

    state: State
    reason: str = ""
    message: str = ""
    digest: str = ""


Payload = StateChanged | Progress | EpochEnded | CheckpointTaken | Notice


@dataclass(frozen=True, slots=True)
class JobEvent:
    """An event of a job.

    Events are numbered from 1 without gaps. All but progress are stored, and some age out (see `ageing`); a progress
    has the number of the event before it.
    """

    job: str
    sequence: int
    time: datetime
    payload: Payload

    @property
    def kept(self) -> bool:
        """True if the event is stored and has a number of its own."""
        return not isinstance(self.payload, Progress)

    @property
    def final(self) -> bool:
        """True if the job ended with this event; events follow only if the job is resumed."""
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
    """One committed change of a job: `before` is None if it was created, `after` None if deleted."""

    before: Job | UnreadableJob | None
    after: Job | None
    events: tuple[JobEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects jobs in any of these states (all if empty) and with all of these labels."""

    states: frozenset[State] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """An uploaded file.

    Attributes:
        id: SHA-256 of its bytes, hex.
        name: the file's original name, without folders.
        number: place in the order of upload, from 1; 0 before it is stored.
    """

    id: str
    name: str
    size_bytes: int
    created: datetime
    number: int = 0

    @property
    def suffix(self) -> str:
        """Suffix of the name in lower case, which selects the format, such as `.csv`."""
        return MODEL_SUFFIX if self.is_model else find_suffix(self.name)

    @property
    def is_model(self) -> bool:
        """True for a model, which jobs start from; false for data."""
        return PurePath(self.name).suffix.lower() == MODEL_SUFFIX
