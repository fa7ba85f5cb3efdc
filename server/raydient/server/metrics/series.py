"""State behind the metrics of one job and of the queue: plain values, kept up to date by events."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from math import isfinite

from raydient.server.jobs.records import Job, JobEvent
from raydient.server.jobs.states import State
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Progress

PEAK_SECONDS = 300.0
"""Window of the recent peak: many scrape intervals, so that an alert sees each epoch's loss."""
QUEUE_WAIT_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""Seconds: from a free cluster to one that is taken for a day."""


@dataclass(slots=True)
class Series:
    """One job.

    `steps` and `samples` only grow, although a job falls back to its checkpoint when a parameter server is lost.
    `initial_loss` is of the first reported step; unknown where that was not in the first epoch. `recent_peak_loss` is
    the largest training loss of the epochs of the last PEAK_SECONDS, as of the last `forget`.
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
    recent_peak_loss: float | None = None
    checkpoint: CheckpointTaken | None = None
    checkpoint_time: float = 0.0
    checkpoints: int = 0
    failed_checkpoints: int = 0
    damaged_checkpoints: int = 0
    _losses: deque[tuple[float, float]] = field(default_factory=deque)  # (time, loss), falling: each may be the peak

    def become(self, job: Job) -> None:
        """The job is in this state now."""
        self.state, self.reason, self.display_name = job.state, job.reason, job.spec.display_name
        self.checkpoint_interval = job.spec.checkpoints.interval_seconds
        self.failed_checkpoints, self.damaged_checkpoints = job.failed_checkpoints, job.damaged_checkpoints

    def take(self, event: JobEvent, now: float) -> None:
        """Apply an event that arrives at `now`, in seconds of the collector's clock."""
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
                if (loss := epoch.metrics.get("train", {}).get("loss")) is not None:
                    while self._losses and self._losses[-1][1] <= loss:
                        self._losses.pop()
                    self._losses.append((now, loss))
            case CheckpointTaken() as checkpoint:
                self.checkpoint, self.checkpoint_time = checkpoint, event.time.timestamp()
                self.checkpoints += 1

    def forget(self, now: float) -> None:
        """Drop epochs older than PEAK_SECONDS from the recent peak."""
        while self._losses and now - self._losses[0][0] > PEAK_SECONDS:
            self._losses.popleft()
        self.recent_peak_loss = self._losses[0][1] if self._losses else None


@dataclass(slots=True)
class QueueWaits:
    """How long jobs waited, as a histogram."""

    seconds: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (len(QUEUE_WAIT_BUCKETS) + 1))

    def add(self, seconds: float) -> None:
        """Add the time that a job waited."""
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
