"""The job store: jobs with their events and evaluation results, in a database."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from raydient.server.errors import AlreadyExists, Conflict, NotAllowed, NotFound, Unreadable
from raydient.server.training.reports import EpochEnded

from . import lifecycle, schema
from .ageing import drop_events, thin_curve
from .database import Database
from .lifecycle import Update
from .records import Change, Job, JobEvent, JobFilter, JobSummary, MetricPoint, Payload, StateChanged, UnreadableJob
from .removals import decide_removal, withdraw_removal
from .rows import (
    UnreadableRow,
    event_record,
    event_row,
    job_record,
    job_row,
    point_record,
    point_row,
    read_spec,
    spec_row,
    summary_record,
    unreadable_record,
)
from .states import State

SPECS_KEPT = 256
log = logging.getLogger(__name__)
_jobs, _labels, _events, _metrics = schema.jobs, schema.labels, schema.events, schema.metrics


class JobStore:
    """Stores jobs. Every method may be called from any thread and blocks it; changes are durable when it returns.

    `publish` is called with every change, on the writer thread, in the order of commits and before the method that
    made the change returns; it must not block.
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
        # cached because a network may have a thousand layers and a job may be read several times a second
        self._spec = lru_cache(SPECS_KEPT)(read_spec)
        # numbers of jobs whose specification was once read; specifications never change
        self._readable: set[int] = set()

    def add(self, job: Job) -> Job | UnreadableJob:
        """Store a new job with its first event. Returns the stored job, or the job of an earlier equal request.

        Withdraws the removal of the job's folder, if one is planned. Raises AlreadyExists if the same request id
        was used before with another body.
        """

        def work(connection: sa.Connection) -> Change | UnreadableJob:
            earlier = self._by_request(connection, job)
            if isinstance(earlier, UnreadableJob):
                return earlier
            if earlier is not None:
                return Change(earlier, earlier)
            number = self._insert(connection, job)
            withdraw_removal(connection, folder_name(job.id))
            return self._save(connection, None, Update(replace(job, number=number), (StateChanged(job.state),)))

        change = self._database.write(work, self._announce)
        if isinstance(change, UnreadableJob):
            return change
        assert change.after is not None
        return change.after

    def update(self, job_id: str, step: Callable[[Job], Update | None]) -> Job:
        """Apply `step` to the stored job in one transaction, and return the job after it. None from `step`: no change.

        Raises NotFound, Unreadable, Conflict, and what `step` raises; then nothing is changed.
        """

        def work(connection: sa.Connection) -> Change:
            before = self._get(connection, job_id)
            update = step(before)
            return Change(before, before) if update is None else self._save(connection, before, update)

        return self._change(work)

    def restore(self, job: Job, epochs: Sequence[EpochEnded]) -> Job:
        """Store a job that was rebuilt from its files, in its state, with the curve of these epochs."""

        def work(connection: sa.Connection) -> Change:
            stored = replace(job, number=self._insert(connection, job))
            state = StateChanged(job.state, job.reason, job.message, job.digest)
            points = tuple(point for epoch in epochs for point in lifecycle.points(epoch))
            return self._save(connection, None, Update(stored, (*epochs, state), points))

        return self._change(work)

    def _change(self, work: Callable[[sa.Connection], Change]) -> Job:
        """Run `work` in a transaction and publish its change. Returns the job after the change."""
        change = self._database.write(work, self._announce)
        assert change.after is not None
        return change.after

    def delete(self, job_id: str) -> None:
        """Remove a job that has ended or cannot be read, with its rows, and record the removal of its folder.

        Raises NotFound, NotAllowed.
        """

        def work(connection: sa.Connection) -> Change:
            job = self._find(connection, job_id)
            if isinstance(job, Job) and not job.state.terminal:
                message = f"jobs/{job_id} is {job.state.name}; cancel it before it is deleted"
                raise NotAllowed(message, reason="JOB_NOT_ENDED", metadata={"state": job.state.name})
            for table in (_labels, _events, _metrics):
                connection.execute(sa.delete(table).where(table.c.job == job_id))
            connection.execute(sa.delete(_jobs).where(_jobs.c.id == job_id))
            decide_removal(connection, folder_name(job_id))
            return Change(job, None)

        self._database.write(work, self._announce)

    def get(self, job_id: str) -> Job:
        """One job. Raises NotFound, Unreadable."""
        return self._database.read(lambda connection: self._get(connection, job_id))

    def find(self, job_id: str) -> Job | UnreadableJob:
        """One job, readable or not. Raises NotFound."""
        return self._database.read(lambda connection: self._find(connection, job_id))

    def by_request(self, job: Job) -> Job | UnreadableJob | None:
        """The job that an earlier equal request created, or None. Raises AlreadyExists if its body differed."""
        return self._database.read(lambda connection: self._by_request(connection, job))

    def page(self, limit: int, before: int | None = None, where: JobFilter | None = None) -> list[Job | UnreadableJob]:
        """At most `limit` jobs, newest first, of those with a number below `before`."""
        return self._database.rows(_page(sa.select(_jobs), limit, before, where), self._record)

    def summaries(
        self, limit: int, before: int | None = None, where: JobFilter | None = None
    ) -> list[JobSummary | UnreadableJob]:
        """Summaries of the jobs of `page`. Each specification is read once per store, to detect unreadable ones."""
        query = _page(sa.select(*(column for column in _jobs.c if column is not _jobs.c.spec)), limit, before, where)

        def work(connection: sa.Connection) -> list[JobSummary | UnreadableJob]:
            rows = connection.execute(query).mappings().all()
            problems = self._unreadable_specs(connection, [row["number"] for row in rows])
            labels = _labels_of(connection, [row["id"] for row in rows])
            return [_summary(row, labels[row["id"]], problems.get(row["number"])) for row in rows]

        return self._database.read(work)

    def unfinished(self) -> list[Job]:
        """All jobs that have not ended and can be read, oldest first. Logs those that cannot."""
        states = [state.value for state in State if not state.terminal]
        query = sa.select(_jobs).where(_jobs.c.state.in_(states)).order_by(_jobs.c.number)
        jobs = self._database.rows(query, self._record)
        for job in jobs:
            if isinstance(job, UnreadableJob):
                log.error("jobs/%s cannot be read and is left alone: %s", job.id, job.problem)
        return [job for job in jobs if isinstance(job, Job)]

    def user_of(self, dataset: str) -> str | None:
        """Id of an unfinished job, readable or not, that reads the stored file of this URI; None if there is none."""
        states = [state.value for state in State if state.terminal]
        validation, among = _jobs.c.validation, f"\n{dataset}\n"
        reads = sa.or_(_jobs.c.dataset == dataset, validation == dataset, validation.contains(among, autoescape=True))
        query = sa.select(_jobs.c.id).where(reads, _jobs.c.state.not_in(states)).limit(1)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def ids(self) -> set[str]:
        """Ids of all jobs."""
        query = sa.select(_jobs.c.id)
        return self._database.read(lambda connection: set(connection.execute(query).scalars()))

    def counts(self) -> dict[State, int]:
        """Number of jobs in each state. A state that this version does not know counts as FAILED, as in lists."""
        query = sa.select(_jobs.c.state, sa.func.count()).group_by(_jobs.c.state)
        counts = dict.fromkeys(State, 0)
        for state, count in self._database.read(lambda connection: connection.execute(query).all()):
            counts[State(state) if state in [*State] else State.FAILED] += count
        return counts

    def events(self, job_id: str, after: int, limit: int) -> list[JobEvent]:
        """At most `limit` stored events with a number above `after`, in order. Some may have aged out."""
        query = sa.select(_events).where(_events.c.job == job_id, _events.c.sequence > after)
        return self._database.rows(query.order_by(_events.c.sequence).limit(limit), event_record)

    def points(self, job_id: str, limit: int, after: tuple[int, str, str] = (0, "", "")) -> list[MetricPoint]:
        """At most `limit` results that come after (epoch, split, name), in that order."""
        key = sa.tuple_(_metrics.c.epoch, _metrics.c.split, _metrics.c.name)
        query = sa.select(_metrics).where(_metrics.c.job == job_id, key > sa.tuple_(*after))
        query = query.order_by(_metrics.c.epoch, _metrics.c.split, _metrics.c.name).limit(limit)
        return self._database.rows(query, point_record)

    def _insert(self, connection: sa.Connection, job: Job) -> int:
        """Insert the rows of a new job and return its number."""
        result = connection.execute(sa.insert(_jobs).values(job_row(job) | spec_row(job.spec)))
        if job.spec.labels:
            rows = [{"job": job.id, "key": key, "value": value} for key, value in job.spec.labels.items()]
            connection.execute(sa.insert(_labels), rows)
        number: int = result.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row has one
        return number

    def _announce(self, change: Change | UnreadableJob) -> None:
        if isinstance(change, Change) and change.before != change.after:
            self._publish(change)

    def _save(self, connection: sa.Connection, before: Job | None, update: Update) -> Change:
        job = replace(update.job, revision=update.job.revision + 1)
        events = self._events(job, update.events)
        if events:
            job = replace(job, sequence=events[-1].sequence)
        unchanged = sa.and_(_jobs.c.id == job.id, _jobs.c.revision == update.job.revision)
        if connection.execute(sa.update(_jobs).where(unchanged).values(job_row(job))).rowcount != 1:
            raise Conflict(f"jobs/{job.id} was changed by another call")
        kept: list[dict[str, Any]] = [event_row(event) for event in events if event.kept]
        if kept:
            connection.execute(sa.insert(_events), kept)
            drop_events(connection, job.id, job.sequence)
        known = before.epochs if before is not None else 0
        if update.counts is not None:
            known = min(known, update.counts)
            connection.execute(sa.delete(_metrics).where(_metrics.c.job == job.id, _metrics.c.epoch > known))
        if update.points:
            first, newest = min(point.epoch for point in update.points), max(point.epoch for point in update.points)
            repeated = (_metrics.c.job == job.id, _metrics.c.epoch.between(first, newest))
            connection.execute(sa.delete(_metrics).where(*repeated))
            connection.execute(sa.insert(_metrics), [point_row(job.id, point) for point in update.points])
            thin_curve(connection, job.id, newest, known)
        return Change(before, job, tuple(events))

    def _events(self, job: Job, payloads: Iterable[Payload]) -> list[JobEvent]:
        events, sequence, now = [], job.sequence, self._clock()
        for payload in payloads:
            event = JobEvent(job.id, sequence + 1, now, payload)
            sequence += event.kept
            events.append(event if event.kept else replace(event, sequence=sequence))
        return events

    def _get(self, connection: sa.Connection, job_id: str) -> Job:
        job = self._find(connection, job_id)
        if isinstance(job, UnreadableJob):
            raise Unreadable(f"this version of raydient cannot read jobs/{job_id}: {job.problem}")
        return job

    def _find(self, connection: sa.Connection, job_id: str) -> Job | UnreadableJob:
        row = connection.execute(sa.select(_jobs).where(_jobs.c.id == job_id)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no jobs/{job_id}", reason="JOB_NOT_FOUND")
        return self._record(row)

    def _by_request(self, connection: sa.Connection, job: Job) -> Job | UnreadableJob | None:
        """The job that an earlier equal request created, or None. Raises AlreadyExists if its body differed."""
        if not job.request:
            return None
        row = connection.execute(sa.select(_jobs).where(_jobs.c.request == job.request)).mappings().one_or_none()
        if row is not None and row["fingerprint"] != job.fingerprint:
            message = f"the request id {job.request!r} was used before with another body; it created jobs/{row['id']}"
            raise AlreadyExists(message, reason="REQUEST_ID_REUSED", metadata={"job": f"jobs/{row['id']}"})
        return None if row is None else self._record(row)

    def _record(self, row: sa.RowMapping) -> Job | UnreadableJob:
        try:
            job = job_record(row, self._spec)
        except UnreadableRow as error:
            return unreadable_record(row, error)
        self._readable.add(job.number)
        return job

    def _unreadable_specs(self, connection: sa.Connection, numbers: Sequence[int]) -> dict[int, UnreadableRow]:
        """Problems of the unreadable specifications among these jobs, by number; reads only those not read before."""
        unknown = [number for number in numbers if number not in self._readable]
        query = sa.select(_jobs).where(_jobs.c.number.in_(unknown))
        problems = {}
        for row in connection.execute(query).mappings() if unknown else ():
            try:
                self._readable.add(job_record(row, self._spec).number)
            except UnreadableRow as error:
                problems[row["number"]] = error
        return problems


def _page(query: sa.Select[Any], limit: int, before: int | None, where: JobFilter | None) -> sa.Select[Any]:
    """Limit a query of jobs to the `limit` newest that `before` and `where` select."""
    where = where or JobFilter()
    query = query.order_by(_jobs.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(_jobs.c.number < before)
    if where.states:
        chosen = _jobs.c.state.in_([state.value for state in where.states])
        unknown = _jobs.c.state.not_in([state.value for state in State])  # shown as FAILED
        query = query.where(sa.or_(chosen, unknown) if State.FAILED in where.states else chosen)
    for key, value in where.labels.items():
        labelled = sa.select(_labels.c.job).where(_labels.c.key == key, _labels.c.value == value)
        query = query.where(_jobs.c.id.in_(labelled))
    return query


def _labels_of(connection: sa.Connection, jobs: Sequence[str]) -> dict[str, dict[str, str]]:
    labels: dict[str, dict[str, str]] = {job: {} for job in jobs}
    for job, key, value in connection.execute(sa.select(_labels).where(_labels.c.job.in_(jobs))):
        labels[job][key] = value
    return labels


def _summary(
    row: sa.RowMapping, labels: Mapping[str, str], problem: UnreadableRow | None
) -> JobSummary | UnreadableJob:
    if problem is not None:
        return unreadable_record(row, problem)
    try:
        return summary_record(row, labels)
    except UnreadableRow as error:
        return unreadable_record(row, error)


def folder_name(job_id: str) -> str:
    """The job's folder, below the state directory."""
    return f"jobs/{job_id}"
