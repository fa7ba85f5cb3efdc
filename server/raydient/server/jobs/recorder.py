"""Records the reports of a run in the store."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol

from raydient.server.errors import ServiceError
from raydient.server.training.reports import Finished, NumberedReport
from raydient.server.training.runs import Run

from . import lifecycle
from .lifecycle import Update
from .records import Job

log = logging.getLogger(__name__)


class Records(Protocol):
    """The part of `Dispatcher` that a recorder uses; documented there."""

    @property
    def closed(self) -> bool: ...

    @property
    def draining(self) -> bool: ...

    def record(self, job_id: str, step: Callable[[Job], Update | None]) -> Job | None: ...

    def retire(self, job_id: str, run: Future[Run]) -> None: ...


class RunRecorder:
    """The listener of one run, number `number` of its job; `run` is set when the run is registered."""

    def __init__(self, dispatcher: Records, job: str, number: int, clock: Callable[[], datetime]) -> None:
        self._dispatcher = dispatcher
        self._job = job
        self._clock = clock
        self._retired = False
        self.number = number
        self.run: Future[Run] = Future()

    def report(self, reports: Sequence[NumberedReport]) -> None:
        """See RunListener."""
        now = self._clock()
        try:
            self._dispatcher.record(self._job, lambda job: lifecycle.take(job, self.number, reports, now))
        except ServiceError as error:
            if not self._dispatcher.closed:
                raise
            raise ConnectionAbortedError("the service has stopped") from error
        if any(isinstance(numbered.report, Finished) for numbered in reports):
            self._retire()

    def lost(self, reason: str) -> None:
        """See RunListener."""
        if self._dispatcher.closed:  # the cluster ended it when the service stopped
            return
        log.warning("jobs/%s: its coordinator was lost: %s", self._job, reason)
        try:
            self.lose(reason)
        finally:
            self._retire()

    def lose(self, reason: str) -> None:
        """Record the loss of the coordinator. If the service is stopping, the loss does not count against the job."""
        now = self._clock()
        if self._dispatcher.draining:
            self._dispatcher.record(self._job, lambda job: lifecycle.abandon(job, self.number, now))
        else:
            self._dispatcher.record(self._job, lambda job: lifecycle.lose(job, self.number, reason, now))

    def _retire(self) -> None:
        if not self._retired:
            self._retired = True
            self._dispatcher.retire(self._job, self.run)
