"""The collector of the metrics of jobs: follows every change of a job and yields all metrics when it is scraped."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from datetime import datetime

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from raydient.server.jobs.records import Change, Job
from raydient.server.jobs.states import State

from .families import metrics
from .job_table import JOB, JOBS
from .series import Series, Totals
from .service_table import SERVICE

LINGER_SECONDS = 300.0
"""Time for which a job's series stay after its end, so that the last scrapes see it."""


class JobCollector(Collector):
    """Jobs as metrics. Any method may be called from any thread; none blocks for long.

    `clock` returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: dict[str, Series] = {}
        self._totals = Totals()
        self._lock = threading.Lock()

    def begin(self, jobs: Iterable[Job], counts: Mapping[State, int], now: datetime) -> None:
        """Set the jobs that have not ended and the number of jobs in each state, before any change is published.

        The time at which a job was queued again, and that of the last progress, are not stored: `now` stands for them.
        """
        self._totals.jobs.update(counts)
        for job in jobs:
            series = self._jobs[job.id] = Series(
                job,
                epoch=job.last_epoch,
                progress=job.progress,
                progress_time=now.timestamp() if job.progress else None,
            )
            if job.state is State.QUEUED:
                series.queued = (now if job.run else job.created).timestamp()

    def publish(self, change: Change) -> None:
        """Apply a change of a job."""
        with self._lock:
            if change.before is not None:
                self._totals.jobs[change.before.state] -= 1
            if change.after is None:
                if change.before is not None:
                    self._jobs.pop(change.before.id, None)
                return
            self._totals.jobs[change.after.state] += 1
            series = self._jobs.setdefault(change.after.id, Series(change.after))
            series.job = change.after
            self._note_wait(series, change)
            series.ended = self._clock() if series.job.state.terminal else None
            for event in change.events:
                series.take(event, self._clock())

    def use_slots(self, total: int, held: int) -> None:
        """Set the numbers of worker slots that exist and that are held."""
        with self._lock:
            self._totals.slots, self._totals.held_slots = total, held

    def _note_wait(self, series: Series, change: Change) -> None:
        job = series.job
        when = (change.events[-1].time if change.events else job.created).timestamp()
        if job.state is State.QUEUED:
            series.queued = when if series.queued is None else series.queued
        elif series.queued is not None:
            if job.state is State.STARTING:
                self._totals.waits.add(max(0.0, when - series.queued))
            series.queued = None

    def collect(self) -> Iterator[Metric]:
        """Forget the jobs that ended long ago, and yield all metrics."""
        with self._lock:
            now = self._clock()
            for job, series in list(self._jobs.items()):
                if series.ended is not None and now - series.ended > LINGER_SECONDS:
                    del self._jobs[job]
                else:
                    series.forget(now)
            queued = [series.queued for series in self._jobs.values() if series.queued is not None]
            self._totals.oldest = min(queued, default=None)
            of_service = list(metrics(SERVICE, {(): self._totals}, labels=()))
            jobs: dict[tuple[str, ...], Series] = {(job,): copy(series) for job, series in self._jobs.items()}
        yield from of_service
        # The text of the jobs is long, so it is built without the lock, on copies; publishers need the lock.
        yield from metrics(JOBS, jobs, labels=(JOB,))
