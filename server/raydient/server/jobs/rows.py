"""Converts records to rows and back, and the payloads of events to JSON and back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import RowMapping

from raydient.server.training.reports import CheckpointTaken, EpochEnded, Notice, Progress, flatten, unflatten
from raydient.spec.errors import InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.validation import validate_job

from .records import (
    Dataset,
    FieldChange,
    Job,
    JobEvent,
    JobSummary,
    MetricPoint,
    Payload,
    SpecUpdate,
    StateChanged,
    UnreadableJob,
    allowed_workers,
)
from .schema import EPOCH
from .states import State

T = TypeVar("T")

KINDS: dict[str, type[Payload]] = {
    "state": StateChanged,
    "progress": Progress,
    "epoch": EpochEnded,
    "checkpoint": CheckpointTaken,
    "notice": Notice,
}
_NAMES = {kind: name for name, kind in KINDS.items()}

_PLAIN = [
    f.name
    for f in fields(Job)
    if f.name not in ("spec", "request", "state", "progress", "last_epoch", "advanced", "pausing", "updates")
]

_SUMMARY = [
    f.name for f in fields(JobSummary) if f.name not in ("state", "progress", "last_epoch", "workers", "labels")
]


def spec_text(spec: JobSpec) -> str:
    """JSON with all defaults; equal specifications give equal text."""
    return json.dumps(spec.canonical(), sort_keys=True, separators=(",", ":"))


def spec_row(spec: JobSpec) -> dict[str, Any]:
    """The columns that are derived from the specification; they never change."""
    workers = spec.resources.workers
    return {
        "spec": spec_text(spec),
        "display_name": spec.display_name,
        "dataset": spec.dataset.uri,
        "validation": _further(spec),
        "workers_min": workers.min,
        "workers_max": workers.max,
    }


def _further(spec: JobSpec) -> str:
    """The files of a job besides the first one: one alone, or each between line breaks, for `JobStore.user_of`."""
    _, *further = spec.dataset.uris.values()
    return "".join(further) if len(further) < 2 else "\n".join(["", *further, ""])


def job_row(job: Job) -> dict[str, Any]:
    """All columns except `number`, which the database assigns, and the columns of `spec_row`."""
    row = {name: getattr(job, name) for name in _PLAIN if name != "number"}
    row["request"] = job.request or None  # the column is unique, and NULL may repeat
    row["state"] = job.state.value
    row["advanced"], row["pausing"] = int(job.advanced), int(job.pausing)
    row["updates"] = json.dumps([_update_data(update) for update in job.updates]) if job.updates else ""
    row["progress"] = job.progress and encode(job.progress)[1]
    row["last_epoch"] = job.last_epoch and encode(job.last_epoch)[1]
    return row


class UnreadableRow(Exception):  # noqa: N818  (named after the condition)
    """A column that cannot be read; the message gives its name and the reason in one line."""


def read_spec(text: str) -> JobSpec:
    """Inverse of `spec_text`. Raises InvalidSpec, ValueError."""
    try:
        return JobSpec.model_validate_json(text)
    except ValidationError:
        return validate_job(json.loads(text))  # raises InvalidSpec with paths and rules


def job_record(row: RowMapping, spec: Callable[[str], JobSpec]) -> Job:
    """Inverse of `job_row`; `spec` is `read_spec` or a cached form of it. Raises UnreadableRow."""
    return Job(
        **{name: row[name] for name in _PLAIN},
        **_read_columns(row),
        spec=_column("spec", spec, row["spec"]),
        request=row["request"] or "",
        advanced=bool(row["advanced"]),
        pausing=bool(row["pausing"]),
        updates=_column("updates", _read_updates, row["updates"]),
    )


def _update_data(update: SpecUpdate) -> dict[str, Any]:
    return {**asdict(update), "created": update.created.isoformat()}


def _read_updates(text: str) -> tuple[SpecUpdate, ...]:
    return tuple(
        SpecUpdate(
            number=data["number"],
            created=datetime.fromisoformat(data["created"]),
            changes=[FieldChange(**change) for change in data["changes"]],
            round=data["round"],
            step=data["step"],
        )
        for data in json.loads(text or "[]")
    )


def summary_record(row: RowMapping, labels: Mapping[str, str]) -> JobSummary:
    """Read a summary from all columns except `spec`, without gradient health. Raises UnreadableRow."""
    least, most = row["workers_min"], row["workers_max"]
    read = _read_columns(row)
    if read["progress"] is not None:
        measurements = replace(read["progress"].measurements, gradient_health=None)
        read["progress"] = replace(read["progress"], measurements=measurements)
    return JobSummary(
        **{name: row[name] for name in _SUMMARY},
        **read,
        workers=_column("workers_min", lambda least: allowed_workers(least, most, row["scaled"]), least),
        labels=labels,
    )


def unreadable_record(row: RowMapping, problem: UnreadableRow) -> UnreadableJob:
    """Describe a row with this problem, from the columns that can always be read."""
    known = row["state"] in [*State]
    state = State(row["state"]) if known else State.FAILED
    names = ("id", "number", "created", "display_name", "dataset")
    return UnreadableJob(**{name: row[name] for name in names}, state=state, problem=str(problem))


def _read_columns(row: RowMapping) -> dict[str, Any]:
    """Convert the columns whose values in a Job or JobSummary differ from those in the row. Raises UnreadableRow."""
    if row["created"] is None:
        raise UnreadableRow("created: it is no time")
    return {
        "state": _column("state", State, row["state"]),
        "progress": _column("progress", lambda text: text and decode("progress", text), row["progress"]) or None,
        "last_epoch": _column("last_epoch", lambda text: text and decode("epoch", text), row["last_epoch"]) or None,
    }


def _column(name: str, read: Callable[[Any], T], value: Any) -> T:
    """Convert the value of a column with `read`. Raises UnreadableRow."""
    try:
        return read(value)
    except InvalidSpec as error:
        raise UnreadableRow(f"{name}: {error.errors[0]}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableRow(f"{name}: {cause}") from error


def event_row(event: JobEvent) -> dict[str, Any]:
    """A row of the table `events`."""
    kind, payload = encode(event.payload)
    return {"job": event.job, "sequence": event.sequence, "time": event.time, "kind": kind, "payload": payload}


def event_record(row: RowMapping) -> JobEvent:
    """Inverse of `event_row`. An event that this version cannot read becomes a notice with the reason."""
    payload: Payload
    try:
        payload = _column(row["kind"], lambda text: decode(row["kind"], text), row["payload"])
    except UnreadableRow as error:
        payload = Notice("EVENT_UNREADABLE", f"this version cannot read the event: {error}")
    return JobEvent(row["job"], row["sequence"], row["time"] or EPOCH, payload)


def point_row(job: str, point: MetricPoint) -> dict[str, Any]:
    """A row of the table `metrics`."""
    return {"job": job, **asdict(point)}


def point_record(row: RowMapping) -> MetricPoint:
    """Inverse of `point_row`."""
    return MetricPoint(row["epoch"], row["split"], row["name"], row["step"], row["value"])


def dataset_row(dataset: Dataset) -> dict[str, Any]:
    """All columns except `number`, which the database assigns."""
    row = asdict(dataset)
    del row["number"]
    return row


def dataset_record(row: RowMapping) -> Dataset:
    """Inverse of `dataset_row`."""
    return Dataset(row["id"], row["name"], row["size_bytes"], row["created"], row["number"])


def kind_of(payload: type[Payload]) -> str:
    """The name of a kind of event in the table `events`."""
    return _NAMES[payload]


def encode(payload: Payload) -> tuple[str, str]:
    """Name of the kind, and the fields as JSON. NaN and infinity are kept, because a diverging loss is a result."""
    fields = flatten(payload) if isinstance(payload, Progress) else asdict(payload)
    return _NAMES[type(payload)], json.dumps(fields, separators=(",", ":"))


def decode(kind: str, text: str) -> Payload:
    """Inverse of `encode`."""
    fields: dict[str, Any] = json.loads(text)
    if kind == "state":
        fields["state"] = State(fields["state"])
    if kind == "progress":
        return unflatten(fields)
    return KINDS[kind](**fields)
