"""State behind the metrics of one job and of the service: plain values, kept up to date by events."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from math import isfinite

from raydient.server.jobs.records import Job, JobEvent
from raydient.server.jobs.states import State
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Progress

from .families import Histogram, histogram

PEAK_SECONDS = 300.0
"""Window of the recent peak: many scrape intervals, so that an alert sees each epoch's loss."""
QUEUE_WAIT_BUCKETS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""Seconds: from a free cluster to one that is busy for a day."""


@dataclass(slots=True)
class Series:
    """The state of one job.

    Attributes:
        job: the newest record.
        queued, progress_time, checkpoint_time: Unix times of the events; None if there is none.
        ended: time of the collector's clock at which the job ended; None before.
        initial_loss: loss of the first reported step; None if that was not in the first epoch.
        steps, samples: counts that only grow, although a job falls back to its checkpoint when a parameter server is
            lost.
        recent_peak_loss: largest training loss of the epochs of the last PEAK_SECONDS, as of the last `forget`.
    """

    job: Job
    queued: float | None = None
    ended: float | None = None
    progress: Progress | None = None
    progress_time: float | None = None
    initial_loss: float | None = None
    steps: int = 0
    samples: int = 0
    epoch: EpochEnded | None = None
    recent_peak_loss: float | None = None
    checkpoint: CheckpointTaken | None = None
    checkpoint_time: float | None = None
    checkpoints: int = 0
    _losses: deque[tuple[float, float]] = field(default_factory=deque)  # (time, loss), falling: each may be the peak

    def take(self, event: JobEvent, now: float) -> None:
        """Apply an event that arrives at `now`, in seconds of the collector's clock."""
        match event.payload:
            case Progress() as progress:
                before = self.progress
                self.steps += max(0, progress.step - (before.step if before else 0))
                self.samples += max(0, progress.samples - (before.samples if before else 0))
                self.progress, self.progress_time = progress, event.time.timestamp()
                loss = progress.measurements.loss
                if before is None and progress.epoch == 0 and isfinite(loss):
                    self.initial_loss = loss
            case EpochEnded() as epoch:
                self.epoch = epoch
                if (loss_of_epoch := epoch.metrics.get("train", {}).get("loss")) is not None:
                    while self._losses and self._losses[-1][1] <= loss_of_epoch:
                        self._losses.pop()
                    self._losses.append((now, loss_of_epoch))
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
    """A histogram of the times for which jobs waited in the queue."""

    seconds: float = 0.0
    _counts: list[int] = field(default_factory=lambda: [0] * (len(QUEUE_WAIT_BUCKETS) + 1))

    def add(self, seconds: float) -> None:
        """Add the time that a job waited."""
        self.seconds += seconds
        self._counts[bisect_left(QUEUE_WAIT_BUCKETS, seconds)] += 1

    @property
    def histogram(self) -> Histogram:
        """The times added so far."""
        return histogram(QUEUE_WAIT_BUCKETS, list(accumulate(self._counts)), self.seconds)


@dataclass(slots=True)
class Totals:
    """The state of the service.

    Attributes:
        jobs: number of jobs by state.
        slots, held_slots: number of worker slots that exist, and that are held by jobs.
        waits: times for which jobs waited.
        oldest: Unix time at which the longest-waiting job was queued; None if none waits.
    """

    jobs: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    slots: int = 0
    held_slots: int = 0
    waits: QueueWaits = field(default_factory=QueueWaits)
    oldest: float | None = None
