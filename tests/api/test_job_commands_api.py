"""Cancelling, pausing, resuming, scaling and deleting jobs over gRPC."""

import grpc
import pytest

from raydient.server.training.reports import Finished, Outcome
from raydient.v1 import training_job_pb2 as jobs_pb
from raydient.v1 import training_service_pb2 as pb

StatusCode = grpc.StatusCode


def exactly(workers):
    return {"workers": {"min": workers, "max": workers}}


def test_cancelling(client, runner, refused):
    running, waiting = (client.create(resources=exactly(4)).name for _ in range(2))
    run = runner.next()
    run.begin()
    assert client.cancel(waiting).state == jobs_pb.TRAINING_JOB_STATE_CANCELLED
    assert client.cancel(waiting).state == jobs_pb.TRAINING_JOB_STATE_CANCELLED
    assert client.cancel(running).state == jobs_pb.TRAINING_JOB_STATE_CANCELLING
    *_, last = client.watch(running)
    assert last.event.state_changed.state == jobs_pb.TRAINING_JOB_STATE_CANCELLED
    done = client.create().name
    run = runner.next()
    run.begin()
    run.succeed()
    error = refused(client.cancel, done)
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "JOB_ENDED")


def test_deleting_a_job_removes_its_files(start, runner, refused, tmp_path):
    client = start(runner).client
    job = client.create()
    run = runner.next()
    run.begin()
    (run.request.directory / "model.safetensors").write_bytes(b"x")
    delete = client.training.DeleteTrainingJob
    error = refused(delete, pb.DeleteTrainingJobRequest(name=job.name))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "JOB_NOT_ENDED")
    run.say(Finished(Outcome.FAILED, 3, reason="NON_FINITE", message="the loss became nan at step 3"))
    got = client.get(job.name)
    assert (got.state_reason, got.state_message) == ("NON_FINITE", "the loss became nan at step 3")
    delete(pb.DeleteTrainingJobRequest(name=job.name))
    assert refused(client.get, job.name).reason == "JOB_NOT_FOUND"
    following = client.create(resources=exactly(4))  # starts when the slots of the other are free again
    assert runner.next().request.job == following.name.removeprefix("jobs/")
    assert not run.request.directory.exists()


@pytest.mark.parametrize("method", ["Pause", "Resume", "Scale"])
def test_an_absent_job_cannot_be_paused_resumed_or_scaled(client, refused, method):
    request = getattr(pb, f"{method}TrainingJobRequest")(name="jobs/x")
    if method == "Scale":
        request.workers = 2
    error = refused(getattr(client.training, f"{method}TrainingJob"), request)
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "JOB_NOT_FOUND")


def test_scaling_changes_the_range_and_scales_the_run(client, runner):
    job = client.create(resources=exactly(2))
    runner.next().begin()
    scaled = client.training.ScaleTrainingJob(pb.ScaleTrainingJobRequest(name=job.name, workers=4))
    assert (scaled.workers.min, scaled.workers.max) == (2, 4)
    assert scaled.spec.resources.workers.max == 2, "what was asked for stays to be seen"
    assert ("scale", job.name.removeprefix("jobs/"), 4, 2) in runner.calls
    fewer = client.training.ScaleTrainingJob(pb.ScaleTrainingJobRequest(name=job.name, workers=1))
    assert (fewer.workers.min, fewer.workers.max) == (1, 1)


@pytest.mark.parametrize(
    ("workers", "text"),
    [(0, "0 is out of range"), (1025, "1025 is out"), (5, "more than the cluster can hold: 4 workers")],
)
def test_an_impossible_number_of_workers_is_refused(client, refused, runner, workers, text):
    job = client.create()
    runner.next().begin()
    error = refused(client.training.ScaleTrainingJob, pb.ScaleTrainingJobRequest(name=job.name, workers=workers))
    assert (error.code, error.reason, error.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_WORKERS", ["workers"])
    assert text in error.text
    now = client.get(job.name)
    assert (now.workers, now.state) == (job.workers, jobs_pb.TRAINING_JOB_STATE_RUNNING)


def test_pausing_and_resuming(client, refused, runner):
    blocking, job = (client.create(resources=exactly(n)) for n in (1, 4))
    error = refused(client.training.PauseTrainingJob, pb.PauseTrainingJobRequest(name=job.name))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "JOB_NOT_RUNNING")
    assert "is QUEUED: only a RUNNING job can be paused" in error.text
    run = runner.next()
    run.begin()
    paused = client.training.PauseTrainingJob(pb.PauseTrainingJobRequest(name=blocking.name))
    assert paused.state_reason in ("PAUSING", "PAUSED_BY_USER")
    assert runner.next().request.job == job.name.removeprefix("jobs/"), "its place is given to the next"
    assert client.get(blocking.name).state == jobs_pb.TRAINING_JOB_STATE_PAUSED
    resumed = client.training.ResumeTrainingJob(pb.ResumeTrainingJobRequest(name=blocking.name))
    assert (resumed.state, resumed.state_reason) == (jobs_pb.TRAINING_JOB_STATE_QUEUED, "RESUMED_BY_USER")
    error = refused(client.training.ResumeTrainingJob, pb.ResumeTrainingJobRequest(name=blocking.name))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "JOB_NOT_PAUSED")


def test_a_job_that_failed_by_its_own_fault_is_not_resumed(client, refused, runner):
    job = client.create()
    run = runner.next()
    run.begin()
    run.say(Finished(Outcome.FAILED, 3, reason="NON_FINITE", message="loss inf at step 3"))
    error = refused(client.training.ResumeTrainingJob, pb.ResumeTrainingJobRequest(name=job.name))
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "JOB_AT_FAULT")
    assert "NON_FINITE: loss inf at step 3" in error.text
    assert error.metadata == {"state": "FAILED", "state_reason": "NON_FINITE"}


@pytest.mark.parametrize("method", ["Pause", "Scale"])
def test_an_ended_job_cannot_be_paused_or_scaled(client, refused, runner, method):
    job = client.create()
    run = runner.next()
    run.begin()
    run.succeed()
    request = getattr(pb, f"{method}TrainingJobRequest")(name=job.name)
    if method == "Scale":
        request.workers = 99
    error = refused(getattr(client.training, f"{method}TrainingJob"), request)
    assert (error.code, error.reason) == (StatusCode.FAILED_PRECONDITION, "JOB_ENDED")
