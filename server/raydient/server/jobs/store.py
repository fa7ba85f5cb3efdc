"""The job store: jobs with their events and evaluation results, in a database."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from raydient.server.errors import AlreadyExists, Conflict, NotAllowed, NotFound
from raydient.server.training.reports import EpochEnded
from raydient.spec.job import JobSpec

from . import lifecycle, schema
from .database import Database
from .lifecycle import Update
from .records import Change, Job, JobEvent, JobFilter, MetricPoint, Payload, StateChanged
from .removals import decide_removal, withdraw_removal
from .rows import event_record, event_row, job_record, job_row, point_record, point_row, spec_row
from .states import State

SPECS_KEPT = 256
_jobs, _labels, _events, _metrics = schema.jobs, schema.labels, schema.events, schema.metrics


class JobStore:
    """Keeps jobs. Every method may be called from any thread and blocks it; what it returns is durable.

    `publish` hears of every change on the writer thread, in the order of commits and before the method that made the
    change returns; it must not block.
    """

    def __init__(
        self,
        database: Database,
        publish: Callable[[Change], None] = lambda _: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._publish = publish
        self._clock = clock
        # a network may have a thousand layers and a job be read several times a second
        self._spec = lru_cache(SPECS_KEPT)(JobSpec.model_validate_json)

    def add(self, job: Job) -> Job:
        """Store a new job with its first event; the job it became, or the one that the same request made before.

        Withdraws the removal of the job's folder, if one is planned. Raises AlreadyExists if the same request came
        before with another body.
        """

        def work(connection: sa.Connection) -> Change:
            earlier = self._by_request(connection, job.request)
            if earlier is not None:
                return Change(earlier, _same_body(earlier, job))
            number = self._insert(connection, job)
            withdraw_removal(connection, folder_name(job.id))
            return self._save(connection, None, Update(replace(job, number=number), (StateChanged(job.state),)))

        change = self._database.write(work, self._announce)
        assert change.after is not None
        return change.after

    def update(self, job_id: str, step: Callable[[Job], Update | None]) -> Job:
        """Apply `step` to the job as it is now, in one transaction; the job after it. None from `step`: no change.

        Raises NotFound, Conflict, and what `step` raises; then nothing is changed.
        """

        def work(connection: sa.Connection) -> Change:
            before = self._get(connection, job_id)
            update = step(before)
            return Change(before, before) if update is None else self._save(connection, before, update)

        change = self._database.write(work, self._announce)
        assert change.after is not None
        return change.after

    def restore(self, job: Job, epochs: Sequence[EpochEnded]) -> Job:
        """Store a job that was rebuilt from its files, in the state that it has, with the curve of these epochs."""

        def work(connection: sa.Connection) -> Change:
            stored = replace(job, number=self._insert(connection, job))
            state = StateChanged(job.state, job.reason, job.message, job.digest)
            points = tuple(point for epoch in epochs for point in lifecycle.points(epoch))
            return self._save(connection, None, Update(stored, (*epochs, state), points))

        change = self._database.write(work, self._announce)
        assert change.after is not None
        return change.after

    def delete(self, job_id: str) -> None:
        """Remove a job that has ended with all that belongs to it, and decide the removal of its folder.

        Raises NotFound, NotAllowed.
        """

        def work(connection: sa.Connection) -> Change:
            job = self._get(connection, job_id)
            if not job.state.terminal:
                message = f"jobs/{job_id} is {job.state.name}; cancel it before it is deleted"
                raise NotAllowed(message, reason="JOB_NOT_ENDED", metadata={"state": job.state.name})
            for table in (_labels, _events, _metrics):
                connection.execute(sa.delete(table).where(table.c.job == job_id))
            connection.execute(sa.delete(_jobs).where(_jobs.c.id == job_id))
            decide_removal(connection, folder_name(job_id))
            return Change(job, None)

        self._database.write(work, self._announce)

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFound."""
        return self._database.read(lambda connection: self._get(connection, job_id))

    def by_request(self, job: Job) -> Job | None:
        """The job that the same request made before. Raises AlreadyExists if that had another body."""
        earlier = self._database.read(lambda connection: self._by_request(connection, job.request))
        return None if earlier is None else _same_body(earlier, job)

    def page(self, limit: int, before: int | None = None, where: JobFilter | None = None) -> list[Job]:
        """At most `limit` jobs, newest first, of those with a number below `before`."""
        where = where or JobFilter()
        query = sa.select(_jobs).order_by(_jobs.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_jobs.c.number < before)
        if where.states:
            query = query.where(_jobs.c.state.in_(state.value for state in where.states))
        for key, value in where.labels.items():
            bearing = sa.select(_labels.c.job).where(_labels.c.key == key, _labels.c.value == value)
            query = query.where(_jobs.c.id.in_(bearing))
        return self._database.read(
            lambda connection: [self._record(row) for row in connection.execute(query).mappings()]
        )

    def unfinished(self) -> list[Job]:
        """All jobs that have not ended, oldest first."""
        states = [state.value for state in State if not state.terminal]
        query = sa.select(_jobs).where(_jobs.c.state.in_(states)).order_by(_jobs.c.number)
        return self._database.read(
            lambda connection: [self._record(row) for row in connection.execute(query).mappings()]
        )

    def ids(self) -> set[str]:
        """Of all jobs."""
        query = sa.select(_jobs.c.id)
        return self._database.read(lambda connection: set(connection.execute(query).scalars()))

    def counts(self) -> dict[State, int]:
        """How many jobs are in each state."""
        query = sa.select(_jobs.c.state, sa.func.count()).group_by(_jobs.c.state)
        found = self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(query)})
        return {state: found.get(state.value, 0) for state in State}

    def events(self, job_id: str, after: int, limit: int) -> list[JobEvent]:
        """At most `limit` events with a number above `after`, in order."""
        query = sa.select(_events).where(_events.c.job == job_id, _events.c.sequence > after)
        query = query.order_by(_events.c.sequence).limit(limit)
        return self._database.read(
            lambda connection: [event_record(row) for row in connection.execute(query).mappings()]
        )

    def points(self, job_id: str, limit: int, after: tuple[int, str, str] = (0, "", "")) -> list[MetricPoint]:
        """At most `limit` results that come after (epoch, split, name), in that order."""
        key = sa.tuple_(_metrics.c.epoch, _metrics.c.split, _metrics.c.name)
        query = sa.select(_metrics).where(_metrics.c.job == job_id, key > sa.tuple_(*after))
        query = query.order_by(_metrics.c.epoch, _metrics.c.split, _metrics.c.name).limit(limit)
        return self._database.read(
            lambda connection: [point_record(row) for row in connection.execute(query).mappings()]
        )

    def _insert(self, connection: sa.Connection, job: Job) -> int:
        """Insert the rows of a new job; its number."""
        result = connection.execute(sa.insert(_jobs).values(job_row(job) | spec_row(job.spec)))
        if job.spec.labels:
            rows = [{"job": job.id, "key": key, "value": value} for key, value in job.spec.labels.items()]
            connection.execute(sa.insert(_labels), rows)
        number: int = result.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row has one
        return number

    def _announce(self, change: Change) -> None:
        if change.before != change.after:
            self._publish(change)

    def _save(self, connection: sa.Connection, before: Job | None, update: Update) -> Change:
        job = replace(update.job, revision=update.job.revision + 1)
        events = []
        for payload in update.events:
            event = self._event(job, payload)
            job = replace(job, sequence=event.sequence)
            events.append(event)
        unchanged = sa.and_(_jobs.c.id == job.id, _jobs.c.revision == update.job.revision)
        if connection.execute(sa.update(_jobs).where(unchanged).values(job_row(job))).rowcount != 1:
            raise Conflict(f"jobs/{job.id} was changed by somebody else meanwhile")
        kept: list[dict[str, Any]] = [event_row(event) for event in events if event.kept]
        if kept:
            connection.execute(sa.insert(_events), kept)
        for point in update.points:
            place = (_metrics.c.job == job.id, _metrics.c.epoch == point.epoch)
            same = (_metrics.c.split == point.split, _metrics.c.name == point.name)
            connection.execute(sa.delete(_metrics).where(*place, *same))
            connection.execute(sa.insert(_metrics).values(point_row(job.id, point)))
        return Change(before, job, tuple(events))

    def _event(self, job: Job, payload: Payload) -> JobEvent:
        event = JobEvent(job.id, job.sequence + 1, self._clock(), payload)
        return event if event.kept else replace(event, sequence=job.sequence)

    def _get(self, connection: sa.Connection, job_id: str) -> Job:
        row = connection.execute(sa.select(_jobs).where(_jobs.c.id == job_id)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no jobs/{job_id}", reason="JOB_NOT_FOUND")
        return self._record(row)

    def _by_request(self, connection: sa.Connection, request: str) -> Job | None:
        if not request:
            return None
        row = connection.execute(sa.select(_jobs).where(_jobs.c.request == request)).mappings().one_or_none()
        return None if row is None else self._record(row)

    def _record(self, row: sa.RowMapping) -> Job:
        return job_record(row, self._spec(row["spec"]))


def folder_name(job_id: str) -> str:
    """The job's folder, below the state directory."""
    return f"jobs/{job_id}"


def _same_body(earlier: Job, job: Job) -> Job:
    if earlier.fingerprint != job.fingerprint:
        message = f"the request id {job.request!r} came before with another body; it made jobs/{earlier.id}"
        raise AlreadyExists(message, reason="REQUEST_ID_REUSED", metadata={"job": f"jobs/{earlier.id}"})
    return earlier
