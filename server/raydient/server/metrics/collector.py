"""The collector: hears of every change of a job, and tells all of them as metrics when it is scraped."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from datetime import datetime

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from raydient.server.jobs.records import Change, Job
from raydient.server.jobs.states import State

from . import families
from .series import QueueWaits, Series, Slots

LINGER_SECONDS = 300.0
"""Time for which a job's series stay after its end, so that the last scrapes see it."""


class JobCollector(Collector):
    """Jobs as metrics. Any method may be called from any thread; none blocks for long.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = dict.fromkeys(State, 0)
        self._jobs: dict[str, Series] = {}
        self._waits = QueueWaits()
        self._slots = Slots()
        self._lock = threading.Lock()

    def begin(self, jobs: Iterable[Job], counts: Mapping[State, int], now: datetime) -> None:
        """With the jobs that have not ended, and how many there are in each state; before any change.

        A job that waits again after it has run is taken to wait since `now`, and one that runs to have been heard of
        then: since when is not known.
        """
        self._counts.update(counts)
        for job in jobs:
            series = self._jobs[job.id] = Series(
                epoch=job.last_epoch, progress=job.progress, progress_time=now.timestamp()
            )
            series.become(job)
            if job.state is State.QUEUED:
                series.queued = (now if job.run else job.created).timestamp()

    def publish(self, change: Change) -> None:
        """Take note of a change."""
        with self._lock:
            if change.before is not None:
                self._counts[change.before.state] -= 1
            if change.after is None:
                if change.before is not None:
                    self._jobs.pop(change.before.id, None)
                return
            self._counts[change.after.state] += 1
            series = self._jobs.setdefault(change.after.id, Series())
            series.become(change.after)
            self._note_wait(series, change.after, change)
            series.ended = self._clock() if series.state.terminal else None
            for event in change.events:
                series.take(event, self._clock())

    def use_slots(self, total: int, held: int) -> None:
        """Set the numbers of worker slots that exist and that are held."""
        with self._lock:
            self._slots = Slots(total, held)

    def _note_wait(self, series: Series, job: Job, change: Change) -> None:
        when = (change.events[-1].time if change.events else job.created).timestamp()
        if job.state is State.QUEUED:
            series.queued = when if series.queued is None else series.queued
        elif series.queued is not None:
            if job.state is State.STARTING:
                self._waits.add(max(0.0, when - series.queued))
            series.queued = None

    def collect(self) -> Iterator[Metric]:
        """All metrics of jobs; first forget those that ended long ago."""
        with self._lock:
            now = self._clock()
            for job, series in list(self._jobs.items()):
                if series.ended is not None and now - series.ended > LINGER_SECONDS:
                    del self._jobs[job]
                else:
                    series.forget(now)
            queued = [series.queued for series in self._jobs.values() if series.queued is not None]
            told = [
                *families.of_service(self._counts, self._slots),
                *families.of_queue(self._counts[State.QUEUED], self._waits, min(queued, default=None)),
            ]
            jobs = {job: copy(series) for job, series in self._jobs.items()}
        yield from told
        yield from families.of_jobs(jobs)  # much text, so built without the lock that publishers take
