"""The operations on jobs and datasets, with their checks."""

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raydient.files import sync_folder
from raydient.server.calls import Call
from raydient.server.errors import Exhausted, InvalidRequest, NotAllowed, NotFound
from raydient.server.training.initial_weights import KEPT_FILE, keep_weights
from raydient.spec.amending import EPOCHS, MAX_STEPS, amended, value_at
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import MAXIMUM_WORKERS, JobSpec
from raydient.spec.patterns import DataPath
from raydient.spec.phrases import counted

from . import lifecycle
from .description import DESCRIPTION_FILE, Description, write_description, write_descriptions
from .disk import disk_may_be_full
from .dispatcher import Dispatcher
from .records import FieldChange, Job, UnreadableJob
from .replays import Replays
from .rows import spec_text
from .sources import STORED
from .store import folder_name
from .stores import Stores

log = logging.getLogger(__name__)

QUEUE_LIMIT = 10_000
"""Maximum number of queued jobs."""


class JobManager:
    """Creates and removes jobs and removes datasets. May be used from any thread; methods block it.

    `check` compares a specification with its data and raises InvalidSpec; it may take minutes, and stops with the call.
    The last two arguments have the files of `dataset.validation.uri`, if there are any, and the model that the job
    starts from, a file that need not exist.

    Attributes:
        store, datasets: for reading.
        dispatcher: runs the jobs, and cancels, pauses and resumes them.
        replays: trains jobs again.
    """

    def __init__(
        self,
        stores: Stores,
        dispatcher: Dispatcher,
        check: Callable[[JobSpec, DataPath, Call, DataPath | None, Path | None], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: secrets.token_hex(6),
    ) -> None:
        self.store = stores.jobs
        self.datasets = stores.datasets
        self.dispatcher = dispatcher
        self.replays = Replays(stores.directory, stores.sources)
        self._sources, self._remote = stores.sources, stores.remote
        self._directory = stores.directory
        self._removals = stores.removals
        self._check = check
        self._clock = clock
        self._new_id = new_id
        self._admission = threading.Lock()  # no dataset is deleted while a job that needs it is being stored

    def create(self, spec: JobSpec, request: str = "", call: Call | None = None) -> Job | UnreadableJob:
        """Accept a job; it is durable and queued when this returns. An equal request returns the earlier job.

        Raises InvalidSpec, NotFound (the dataset), NotPermitted, AlreadyExists, Exhausted, Late, and Abandoned if
        `call` was abandoned before the job was accepted. After an error there is no job.
        """
        call = call or Call()
        job = self._draft(spec, request)
        if request and (earlier := self.store.by_request(job)) is not None:
            return earlier
        spec = self.validate(spec, call)
        job = replace(job, spec=spec)
        with self._admission:
            call.check()
            *_, start = self._sources.find_all(spec)  # may have been deleted during the check
            if self.dispatcher.waiting >= QUEUE_LIMIT:
                raise Exhausted(f"the queue is full: {QUEUE_LIMIT} jobs wait", reason="QUEUE_FULL")
            stored = self._store(job, start)
            if isinstance(stored, Job) and stored.id == job.id:
                self.dispatcher.submit(stored)
        return stored

    def validate(self, spec: JobSpec, call: Call) -> JobSpec:
        """Check a specification, also against its data and the cluster. Raises the errors of `create`.

        Returns it with stored datasets in place of remote files, see `RemoteData`.
        """
        slots, least = self.dispatcher.slots, spec.resources.workers.min
        if least > slots:
            message = f"{least} is more than the cluster can hold: {counted(slots, 'worker')}"
            raise InvalidSpec([FieldError("resources.workers", message)])
        spec = self._remote.stored(spec, call)
        dataset, validation, start = self._sources.find_all(spec)
        self._compare(spec, (dataset, validation), call, start)
        return spec

    def preview(self, spec: JobSpec, call: Call | None = None) -> Job:
        """Return the job that `create` would accept, without a name. Raises the errors of `create`."""
        return Job("", self.validate(spec, call or Call()), self._clock())

    def scale(self, job_id: str, workers: int) -> Job:
        """Change the number of a job's workers, when there is room. Raises NotFound, NotAllowed, InvalidRequest."""
        if not 1 <= workers <= MAXIMUM_WORKERS:
            raise InvalidRequest.of(
                "workers", f"{workers} is out of range: 1 to {MAXIMUM_WORKERS}", reason="INVALID_WORKERS"
            )
        slots = self.dispatcher.slots
        if workers > slots and not self.store.get(job_id).state.terminal:
            message = f"{workers} is more than the cluster can hold: {counted(slots, 'worker')}"
            raise InvalidRequest.of("workers", message, reason="INVALID_WORKERS")
        return self.dispatcher.scale(job_id, workers)

    def update(self, job_id: str, settings: Mapping[str, Any], call: Call | None = None) -> Job:
        """Change settings of a job that has not ended, by path; durable when this returns. None removes a setting.

        Raises NotFound, NotAllowed, InvalidSpec, Conflict, and the errors of the check in `create`.
        """
        job = self.store.get(job_id)
        lifecycle.check_not_ended(job)
        before = job.current_spec
        after = amended(before, settings)
        changes = [FieldChange(path, value_at(before, path), value_at(after, path)) for path in settings]
        changes = [change for change in changes if change.before != change.after]
        if not changes:
            return job
        if errors := _ends_that_have_passed(job, changes):
            raise InvalidSpec(errors)
        dataset, validation = self._sources.find_files(after.dataset)
        self._compare(after, (dataset, validation), call or Call(), self._directory.job(job_id) / KEPT_FILE)
        return self.dispatcher.amend(job_id, changes, len(job.updates))

    def delete(self, job_id: str) -> None:
        """Remove a job that has ended or cannot be read, with all its files. Raises NotFound, NotAllowed."""
        self.store.delete(job_id)
        self.dispatcher.when_stopped(job_id, lambda: self._removals.carry_out(folder_name(job_id)))

    def delete_dataset(self, dataset_id: str) -> None:
        """Remove an uploaded file that no unfinished job uses. Raises NotFound, NotAllowed."""
        with self._admission:
            user = self.store.user_of(f"{STORED}{dataset_id}")
            if user is not None:
                message = f"jobs/{user}, which has not ended, trains on datasets/{dataset_id}"
                raise NotAllowed(message, reason="DATASET_IN_USE", metadata={"job": f"jobs/{user}"})
            self.datasets.delete(dataset_id)

    def tidy(self) -> None:
        """Finish recorded removals, log unknown files, and write the descriptions that are missing.

        Files and folders that the database does not know are not touched, because the database may be the incomplete
        part.
        """
        self._removals.complete()
        known = self.store.ids()
        unknown = [path for path in self._directory.jobs.iterdir() if path.name not in known]
        for path in sorted(unknown) + self.datasets.unknown_files():
            log.warning("%s is not in the database; it is left alone", path)
        self._describe(known)

    def _compare(self, spec: JobSpec, files: tuple[DataPath, DataPath | None], call: Call, start: Path | None) -> None:
        try:
            self._check(spec, files[0], call, files[1], start)
        except InvalidSpec as invalid:
            raise self._sources.with_names(invalid, spec.dataset) from invalid

    def _store(self, job: Job, start: Path | None) -> Job | UnreadableJob:
        """Store a job with its description and its copy of the model `start`, or nothing. Returns the stored job."""
        place = folder_name(job.id)
        self._removals.plan(place)  # `JobStore.add` withdraws it in the transaction that stores the job
        stored: Job | UnreadableJob | None = None
        try:
            with disk_may_be_full():
                write_description(self._directory.job(job.id), self._description(job))
                if start is not None:
                    keep_weights(start, self._directory.job(job.id) / KEPT_FILE)
                    sync_folder(self._directory.job(job.id))
            stored = self.store.add(job)
        finally:
            if stored is None or stored.id != job.id:
                self._removals.carry_out(place)
        return stored

    def _describe(self, known: set[str]) -> None:
        """Write the descriptions of jobs that earlier versions stored without one."""
        folders = [self._directory.job(job_id) for job_id in known]
        missing = [folder for folder in folders if folder.is_dir() and not (folder / DESCRIPTION_FILE).exists()]
        jobs = ((folder, self.store.find(folder.name)) for folder in missing)
        try:
            write_descriptions((folder, self._description(job)) for folder, job in jobs if isinstance(job, Job))
        except OSError as error:
            log.warning("the descriptions of jobs cannot be written, the next start tries again: %s", error.strerror)

    def _description(self, job: Job) -> Description:
        names = {}
        start = job.spec.training.initial_weights
        for uri in (*job.spec.dataset.uris.values(), *([start.from_] if start else [])):
            with suppress(NotFound):  # the data of a job that has ended may be deleted
                if uri.startswith(STORED):
                    names[uri] = self.datasets.get(uri.removeprefix(STORED)).name
        return Description(job, names)

    def _draft(self, spec: JobSpec, request: str) -> Job:
        fingerprint = hashlib.sha256(spec_text(spec).encode()).hexdigest()
        return Job(self._new_id(), spec, self._clock(), request, fingerprint)


def _ends_that_have_passed(job: Job, changes: Sequence[FieldChange]) -> list[FieldError]:
    """Return an error for each end of training that the job has reached by its newest progress."""
    if job.progress is None:
        return []
    done = {EPOCHS: (job.progress.epoch, "epoch"), MAX_STEPS: (job.progress.step, "step")}
    return [
        FieldError(change.path, f"{change.after} is not above the {counted(*done[change.path])} that the job has made")
        for change in changes
        if change.path in done and change.after is not None and change.after <= done[change.path][0]
    ]
