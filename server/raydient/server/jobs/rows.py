"""Records as rows and back."""

import json
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import RowMapping

from raydient.server.training.reports import EpochEnded, Progress
from raydient.spec.job import JobSpec

from .payloads import decode, encode
from .records import Dataset, Job, JobEvent, MetricPoint
from .states import State

_PLAIN = [
    f.name
    for f in fields(Job)
    if f.name not in ("spec", "request", "state", "progress", "last_epoch", "advanced", "pausing")
]


def spec_text(spec: JobSpec) -> str:
    """JSON with every default written out; equal specifications give equal text."""
    return json.dumps(spec.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"))


def spec_row(spec: JobSpec) -> dict[str, Any]:
    """The columns that are made of the specification; they never change."""
    workers = spec.resources.workers
    return {
        "spec": spec_text(spec),
        "display_name": spec.display_name,
        "dataset": spec.dataset.uri,
        "workers_min": workers.min,
        "workers_max": workers.max,
    }


def job_row(job: Job) -> dict[str, Any]:
    """All columns but `number`, which the database gives, and those of the specification: see `spec_row`."""
    row = {name: getattr(job, name) for name in _PLAIN if name != "number"}
    row["request"] = job.request or None  # only those that are set must be unique
    row["state"] = job.state.value
    row["advanced"], row["pausing"] = int(job.advanced), int(job.pausing)
    row["progress"] = job.progress and encode(job.progress)[1]
    row["last_epoch"] = job.last_epoch and encode(job.last_epoch)[1]
    return row


def job_record(row: RowMapping, spec: JobSpec) -> Job:
    """The inverse of `job_row`."""
    progress = decode("progress", row["progress"]) if row["progress"] else None
    last_epoch = decode("epoch", row["last_epoch"]) if row["last_epoch"] else None
    assert progress is None or isinstance(progress, Progress)
    assert last_epoch is None or isinstance(last_epoch, EpochEnded)
    return Job(
        **{name: row[name] for name in _PLAIN},
        spec=spec,
        request=row["request"] or "",
        state=State(row["state"]),
        advanced=bool(row["advanced"]),
        pausing=bool(row["pausing"]),
        progress=progress,
        last_epoch=last_epoch,
    )


def event_row(event: JobEvent) -> dict[str, Any]:
    """A row of the table `events`."""
    kind, payload = encode(event.payload)
    return {"job": event.job, "sequence": event.sequence, "time": event.time, "kind": kind, "payload": payload}


def event_record(row: RowMapping) -> JobEvent:
    """The inverse of `event_row`."""
    return JobEvent(row["job"], row["sequence"], row["time"], decode(row["kind"], row["payload"]))


def point_row(job: str, point: MetricPoint) -> dict[str, Any]:
    """A row of the table `metrics`."""
    return {"job": job, **asdict(point)}


def point_record(row: RowMapping) -> MetricPoint:
    """The inverse of `point_row`."""
    return MetricPoint(row["epoch"], row["split"], row["name"], row["step"], row["value"])


def dataset_row(dataset: Dataset) -> dict[str, Any]:
    """All columns but `number`, which the database gives."""
    row = asdict(dataset)
    del row["number"]
    return row


def dataset_record(row: RowMapping) -> Dataset:
    """The inverse of `dataset_row`."""
    return Dataset(row["id"], row["name"], row["size_bytes"], row["created"], row["number"])
