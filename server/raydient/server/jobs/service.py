"""What can be done with jobs and datasets, checked."""

import hashlib
import logging
import secrets
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from raydient.server.errors import Exhausted, InvalidRequest, NotAllowed
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import MAXIMUM_WORKERS, JobSpec

from .datasets import DatasetStore
from .directory import StateDirectory
from .dispatcher import Dispatcher
from .records import Job
from .rows import spec_text
from .sources import STORED, Sources
from .store import JobStore

log = logging.getLogger(__name__)

QUEUE_LIMIT = 10_000
"""So many jobs may wait."""


class JobService:
    """Makes and removes jobs. May be used from any thread; methods block it.

    Attributes:
        store, datasets: for reading.
        dispatcher: runs what was made here.

    `check` compares a specification with its data and raises InvalidSpec; it may take a second.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        datasets: DatasetStore,
        sources: Sources,
        dispatcher: Dispatcher,
        directory: StateDirectory,
        check: Callable[[JobSpec, Path], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: secrets.token_hex(6),
    ) -> None:
        self.store = store
        self.datasets = datasets
        self.dispatcher = dispatcher
        self._sources = sources
        self._directory = directory
        self._check = check
        self._clock = clock
        self._new_id = new_id
        self._admission = threading.Lock()  # no dataset is deleted while a job that needs it is being stored

    def create(self, spec: JobSpec, request: str = "") -> Job:
        """Accept a job; durable and queued when this returns. The same request twice gives the same job.

        Raises InvalidSpec, NotFound (the dataset), NotPermitted, AlreadyExists, Exhausted.
        """
        job = self._draft(spec, request)
        if request and (earlier := self.store.by_request(job)) is not None:
            return earlier
        self.validate(spec)
        with self._admission:
            self._sources.find(spec.dataset.uri)  # it may have been deleted during the check
            if self.dispatcher.waiting >= QUEUE_LIMIT:
                raise Exhausted(f"{QUEUE_LIMIT} jobs wait already", reason="QUEUE_FULL")
            stored = self.store.add(job)
            if stored.id == job.id:
                self.dispatcher.submit(stored)
        return stored

    def validate(self, spec: JobSpec) -> None:
        """Check all that can be checked before a job starts. Raises InvalidSpec, NotFound, NotPermitted."""
        slots, least = self.dispatcher.slots, spec.resources.workers.min
        if least > slots:
            message = f"{least} is more than the {slots} workers that the cluster can hold"
            raise InvalidSpec([FieldError("resources.workers", message)])
        self._check(spec, self._sources.find(spec.dataset.uri))

    def preview(self, spec: JobSpec) -> Job:
        """The job that `create` would make, without a name."""
        self.validate(spec)
        return Job("", spec, self._clock())

    def cancel(self, job_id: str) -> Job:
        """Stop a job for good; harmless when repeated. Raises NotFound, NotAllowed."""
        return self.dispatcher.cancel(job_id)

    def scale(self, job_id: str, workers: int) -> Job:
        """Give a job so many workers, as soon as there is room. Raises NotFound, NotAllowed, InvalidRequest."""
        if not 1 <= workers <= MAXIMUM_WORKERS:
            raise InvalidRequest.of(
                "workers", f"{workers} is out of range: 1 to {MAXIMUM_WORKERS}", reason="INVALID_WORKERS"
            )
        slots = self.dispatcher.slots
        if workers > slots and not self.store.get(job_id).state.terminal:
            message = f"{workers} is more than the {slots} workers that the cluster can hold"
            raise InvalidRequest.of("workers", message, reason="INVALID_WORKERS")
        return self.dispatcher.scale(job_id, workers)

    def pause(self, job_id: str) -> Job:
        """Let a job leave the cluster, with a checkpoint; harmless when repeated. Raises NotFound, NotAllowed."""
        return self.dispatcher.pause(job_id)

    def resume(self, job_id: str) -> Job:
        """Queue a paused job. Raises NotFound, NotAllowed."""
        return self.dispatcher.resume(job_id)

    def delete(self, job_id: str) -> None:
        """Remove a job that has ended, with all its files. Raises NotFound, NotAllowed."""
        self.store.delete(job_id)
        self.dispatcher.settled(job_id, lambda: shutil.rmtree(self._directory.job(job_id), ignore_errors=True))

    def delete_dataset(self, dataset_id: str) -> None:
        """Remove an uploaded file that no unfinished job needs. Raises NotFound, NotAllowed."""
        with self._admission:
            if any(job.spec.dataset.uri == f"{STORED}{dataset_id}" for job in self.store.unfinished()):
                raise NotAllowed(f"a job that has not ended trains on datasets/{dataset_id}", reason="DATASET_IN_USE")
            self.datasets.delete(dataset_id)

    def tidy(self) -> None:
        """Remove the folders of jobs that are no more: a server was killed between a deletion and its end."""
        known = self.store.ids()
        for folder in self._directory.jobs.iterdir():
            if folder.name not in known:
                log.info("removing what is left of jobs/%s", folder.name)
                shutil.rmtree(folder, ignore_errors=True)

    def _draft(self, spec: JobSpec, request: str) -> Job:
        fingerprint = hashlib.sha256(spec_text(spec).encode()).hexdigest()
        return Job(self._new_id(), spec, self._clock(), request, fingerprint)
