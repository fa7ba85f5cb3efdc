"""Converts records to messages, a message to a specification, and resource names to ids.

Resource names are `jobs/{id}`, `datasets/{id}` and `jobs/{id}/checkpoints/{step|best|last}`. The specification is
converted through its JSON form in both directions.
"""

import json
import re
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

from raydient.server.errors import NotFound
from raydient.server.jobs import STORED, State, StoredCheckpoint, records
from raydient.server.training import reports
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.spec.sources import UPLOADED
from raydient.spec.validation import validate_job
from raydient.steps.schedule import default_microbatches
from raydient.v1 import dataset_service_pb2, model_service_pb2, training_job_pb2
from raydient.v1.training_job_spec_pb2 import TrainingJobSpec, WorkerRange
from raydient.workers.data import find_format

STATES: dict[State, training_job_pb2.TrainingJobState] = {
    state: getattr(training_job_pb2, f"TRAINING_JOB_STATE_{state.name}") for state in State
}
SPEC_BYTES = 1 << 20
_JOB = re.compile(r"jobs/([a-z0-9-]{1,63})")
_CHECKPOINT = re.compile(r"(jobs/[a-z0-9-]{1,63})/checkpoints/([0-9]{1,18}|best|last)")


def read_spec(message: TrainingJobSpec) -> JobSpec:
    """The specification that a message describes. Raises InvalidSpec."""
    spec = validate_job(MessageToDict(message, preserving_proto_field_name=True))
    size = spec_message(spec).ByteSize()
    if size > SPEC_BYTES:  # must fit into a response with the rest of the job
        raise InvalidSpec([FieldError("", f"takes {size} bytes with all defaults; at most {SPEC_BYTES} are allowed")])
    return spec


def spec_message(spec: JobSpec) -> TrainingJobSpec:
    """The specification as a message with all defaults."""
    fields = spec.canonical()
    fields["training"].setdefault("microbatches", default_microbatches(spec.training.batch_size))
    return ParseDict(fields, TrainingJobSpec())


def job_message(
    job: records.Job | records.JobSummary | records.UnreadableJob, queue_position: int = 0
) -> training_job_pb2.TrainingJob:
    """A job as a message; a job that was only validated has neither name nor times."""
    if isinstance(job, records.UnreadableJob):
        return _unreadable_message(job)
    message = training_job_pb2.TrainingJob(
        spec=spec_message(job.current_spec) if isinstance(job, records.Job) else _spec_summary(job),
        state=STATES[job.state] if job.id else training_job_pb2.TRAINING_JOB_STATE_UNSPECIFIED,
        state_reason=job.reason,
        state_message=job.message,
        start_time=_time(job.started),
        end_time=_time(job.ended),
        progress=None if job.progress is None else progress_message(job.progress),
        last_epoch=None if job.last_epoch is None else epoch_message(job.last_epoch),
        digest=job.digest,
        restarts=max(0, job.run - 1),
        queue_position=queue_position,
        workers=WorkerRange(min=job.workers.min, max=job.workers.max),
        checkpoints=_checkpoints(job),
        dataset=job.dataset if job.dataset.startswith(STORED) else "",
    )
    if isinstance(job, records.Job):
        message.updates.extend(map(_update_message, job.updates))
    if job.id:
        message.name = f"jobs/{job.id}"
        message.create_time.FromDatetime(job.created)
    return message


def _update_message(update: records.SpecUpdate) -> training_job_pb2.TrainingJobUpdate:
    return training_job_pb2.TrainingJobUpdate(
        number=update.number,
        create_time=_time(update.created),
        fields=[
            training_job_pb2.FieldUpdate(
                path=f"spec.{change.path}", before=json.dumps(change.before), after=json.dumps(change.after)
            )
            for change in update.changes
        ],
        step=None if update.round is None else update.step,
    )


def _checkpoints(job: records.Job | records.JobSummary) -> training_job_pb2.CheckpointSummary:
    return training_job_pb2.CheckpointSummary(
        step=job.checkpoint_step,
        failed=job.failed_checkpoints,
        damaged=job.damaged_checkpoints,
        problem=job.checkpoint_problem,
    )


def _spec_summary(job: records.JobSummary) -> TrainingJobSpec:
    return TrainingJobSpec(display_name=job.display_name, labels=job.labels)


def _unreadable_message(job: records.UnreadableJob) -> training_job_pb2.TrainingJob:
    return training_job_pb2.TrainingJob(
        name=f"jobs/{job.id}",
        spec=TrainingJobSpec(display_name=job.display_name),
        state=STATES[job.state],
        state_reason="UNREADABLE",
        state_message=f"this version of raydient cannot read it: {job.problem}",
        create_time=_time(job.created),
        dataset=job.dataset if job.dataset.startswith(STORED) else "",
    )


def event_message(event: records.JobEvent) -> training_job_pb2.TrainingJobEvent:
    """An event as a message."""
    message = training_job_pb2.TrainingJobEvent(sequence=event.sequence, time=_time(event.time))
    match event.payload:
        case records.StateChanged(state, reason, text, digest):
            changed = training_job_pb2.StateChanged(state=STATES[state], reason=reason, message=text, digest=digest)
            message.state_changed.CopyFrom(changed)
        case reports.Progress() as progress:
            message.progress.CopyFrom(progress_message(progress))
        case reports.EpochEnded() as epoch:
            message.epoch_ended.CopyFrom(epoch_message(epoch))
        case reports.CheckpointTaken(step, seconds, size_bytes):
            taken = training_job_pb2.CheckpointTaken(step=step, duration=_duration(seconds), size_bytes=size_bytes)
            message.checkpoint_taken.CopyFrom(taken)
        case reports.Notice(reason, text):
            message.notice.CopyFrom(training_job_pb2.Notice(reason=reason, message=text))
    return message


def progress_message(progress: reports.Progress) -> training_job_pb2.TrainingProgress:
    """Convert a progress. The histogram of step times is left out, because only `/metrics` shows it."""
    fields = reports.flatten(progress)
    return training_job_pb2.TrainingProgress(
        **{name: fields[name] for name in training_job_pb2.TrainingProgress.DESCRIPTOR.fields_by_name}
    )


def epoch_message(epoch: reports.EpochEnded) -> training_job_pb2.EpochEnded:
    """An epoch as a message, its metrics sorted by split and name."""
    metrics = [
        training_job_pb2.Metric(name=name, split=split, epoch=epoch.epoch, step=epoch.step, value=value)
        for split, values in sorted(epoch.metrics.items())
        for name, value in sorted(values.items())
    ]
    return training_job_pb2.EpochEnded(
        epoch=epoch.epoch, step=epoch.step, duration=_duration(epoch.seconds), metrics=metrics
    )


def metric_message(point: records.MetricPoint) -> training_job_pb2.Metric:
    """A point of a curve as a message."""
    return training_job_pb2.Metric(
        name=point.name, split=point.split, epoch=point.epoch, step=point.step, value=point.value
    )


def dataset_message(dataset: records.Dataset) -> dataset_service_pb2.Dataset:
    """A dataset as a message."""
    format_ = "SAFETENSORS" if dataset.is_model else getattr(find_format(dataset.name), "name", "UNSPECIFIED")
    return dataset_service_pb2.Dataset(
        name=f"datasets/{dataset.id}",
        file_name=dataset.name,
        format=f"DATASET_FORMAT_{format_}",
        size_bytes=dataset.size_bytes,
        sha256=dataset.id,
        create_time=_time(dataset.created),
    )


def checkpoint_message(job: str, checkpoint: StoredCheckpoint) -> model_service_pb2.Checkpoint:
    """A checkpoint of a job as a message."""
    return model_service_pb2.Checkpoint(
        name=f"jobs/{job}/checkpoints/{checkpoint.step}",
        step=checkpoint.step,
        create_time=_time(checkpoint.created),
        size_bytes=checkpoint.size_bytes,
    )


def _time(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromTimedelta(timedelta(seconds=seconds))
    return message


def job_id(name: str) -> str:
    """The id in `jobs/{id}`. Raises NotFound."""
    match = _JOB.fullmatch(name)
    if match is None:
        raise NotFound(f"there is no job {name[:100]!r}: names look like jobs/{{id}}", reason="JOB_NOT_FOUND")
    return match[1]


def dataset_id(name: str) -> str:
    """The id in `datasets/{id}`. Raises NotFound."""
    match = UPLOADED.fullmatch(name)
    if match is None:
        message = f"there is no dataset {name[:100]!r}: names look like datasets/{{id}}"
        raise NotFound(message, reason="DATASET_NOT_FOUND")
    return match[1]


def job_and_checkpoint(name: str) -> tuple[str, int | str | None]:
    """The id and checkpoint in `jobs/{id}/checkpoints/{checkpoint}`: a step, `best` or `last`; None for `jobs/{id}`.

    Raises NotFound.
    """
    match = _CHECKPOINT.fullmatch(name)
    if match is None:
        return job_id(name), None
    return job_id(match[1]), int(match[2]) if match[2].isdecimal() else match[2]
