"""What is shown of one job and of the queue: plain values, kept up to date by events."""

from bisect import bisect_left
from dataclasses import dataclass, field
from math import isfinite

from raydient.server.jobs.records import Job, JobEvent
from raydient.server.jobs.states import State
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Progress

QUEUE_WAIT_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""Seconds: from a free cluster to one that is taken for a day."""


@dataclass(slots=True)
class Series:
    """One job.

    `steps` and `samples` only grow, although a job falls back to its checkpoint when a parameter server is lost.
    `initial_loss` is of the first step that was heard of; unknown where that was not in the first epoch.
    """

    state: State = State.QUEUED
    reason: str = ""
    display_name: str = ""
    checkpoint_interval: float = 0.0
    queued: float | None = None
    ended: float | None = None
    progress: Progress | None = None
    progress_time: float = 0.0
    initial_loss: float | None = None
    steps: int = 0
    samples: int = 0
    epoch: EpochEnded | None = None
    checkpoint: CheckpointTaken | None = None
    checkpoint_time: float = 0.0
    checkpoints: int = 0

    def become(self, job: Job) -> None:
        """The job is in this state now."""
        self.state, self.reason, self.display_name = job.state, job.reason, job.spec.display_name
        self.checkpoint_interval = job.spec.checkpoints.interval_seconds

    def take(self, event: JobEvent) -> None:
        """Something happened to it."""
        match event.payload:
            case Progress() as progress:
                before = self.progress
                self.steps += max(0, progress.step - (before.step if before else 0))
                self.samples += max(0, progress.samples - (before.samples if before else 0))
                self.progress, self.progress_time = progress, event.time.timestamp()
                if before is None and progress.epoch == 0 and isfinite(progress.loss):
                    self.initial_loss = progress.loss
            case EpochEnded() as epoch:
                self.epoch = epoch
            case CheckpointTaken() as checkpoint:
                self.checkpoint, self.checkpoint_time = checkpoint, event.time.timestamp()
                self.checkpoints += 1


@dataclass(slots=True)
class QueueWaits:
    """How long jobs waited, as a histogram."""

    seconds: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (len(QUEUE_WAIT_BUCKETS) + 1))

    def add(self, seconds: float) -> None:
        """A job has waited so long."""
        self.seconds += seconds
        self._counts[bisect_left(QUEUE_WAIT_BUCKETS, seconds)] += 1

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds and cumulative counts."""
        total, result = 0, []
        for bound, count in zip((*map(str, QUEUE_WAIT_BUCKETS), "+Inf"), self._counts, strict=True):
            total += count
            result.append((bound, float(total)))
        return result


@dataclass(slots=True)
class Slots:
    """Worker slots of the cluster."""

    total: int = 0
    held: int = 0
