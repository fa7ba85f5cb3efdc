"""A stored job that this version cannot read, as a client sees it."""

import sqlite3

import grpc
import pytest

from raydient.server.training.reports import EpochEnded
from raydient.v1 import dataset_service_pb2 as datasets_pb
from raydient.v1 import model_service_pb2 as models_pb
from raydient.v1 import training_job_pb2 as jobs_pb
from raydient.v1 import training_service_pb2 as pb

BASIC, FULL = pb.TRAINING_JOB_VIEW_BASIC, pb.TRAINING_JOB_VIEW_FULL
DAMAGES = {
    "state": ("hibernating", jobs_pb.TRAINING_JOB_STATE_FAILED),
    "spec": ('{"network": {"qubits": 3}}', jobs_pb.TRAINING_JOB_STATE_RUNNING),
    "last_epoch": ("{", jobs_pb.TRAINING_JOB_STATE_RUNNING),
}


@pytest.fixture(params=DAMAGES)
def damaged(request, start, fake_runner, tmp_path):
    """A client of a service that was started on a store with three jobs, of which the second cannot be read."""
    runner = fake_runner()
    served = start(runner)
    names = [served.client.create(f"r{n}", display_name=f"job {n}", resources=one_worker()).name for n in range(3)]
    for _ in names:
        runner.next().begin()
    served.stop()
    value, state = DAMAGES[request.param]
    with sqlite3.connect(tmp_path / "state" / "raydient.db") as connection:
        connection.execute("UPDATE jobs SET state = 'running'")
        connection.execute(f"UPDATE jobs SET {request.param} = ? WHERE id = ?", (value, names[1].removeprefix("jobs/")))
    connection.close()
    return start(fake_runner()).client, names, state


def one_worker():
    return {"workers": {"min": 1, "max": 1}}


def listed(client, **fields):
    return list(client.training.ListTrainingJobs(pb.ListTrainingJobsRequest(**fields)).training_jobs)


def test_an_unreadable_job_is_shown_and_the_others_work(damaged):
    client, names, state = damaged
    for view in (BASIC, FULL):
        jobs = listed(client, view=view)
        assert [job.name for job in jobs] == names[::-1]
        assert [job.state_reason == "UNREADABLE" for job in jobs] == [False, True, False]
    for job in (listed(client)[1], listed(client, view=BASIC)[1], client.get(names[1])):
        assert (job.name, job.state, job.state_reason, job.spec.display_name) == (
            names[1], state, "UNREADABLE", "job 1",
        )  # fmt: skip
        assert job.state_message.startswith("this version of raydient cannot read it: ")
        assert job.create_time.seconds > 0
    assert client.get(names[0]).spec.HasField("network")
    for name in (names[0], names[2]):
        assert client.get(name).state != jobs_pb.TRAINING_JOB_STATE_UNSPECIFIED


def test_an_unreadable_job_refuses_every_action_but_deletion(damaged, refused):
    client, names, _ = damaged
    name, training = names[1], client.training
    calls = [
        lambda: training.CancelTrainingJob(pb.CancelTrainingJobRequest(name=name)),
        lambda: training.PauseTrainingJob(pb.PauseTrainingJobRequest(name=name)),
        lambda: training.ResumeTrainingJob(pb.ResumeTrainingJobRequest(name=name)),
        lambda: training.ScaleTrainingJob(pb.ScaleTrainingJobRequest(name=name, workers=2)),
        lambda: training.UpdateTrainingJob(
            pb.UpdateTrainingJobRequest(
                training_job=jobs_pb.TrainingJob(name=name), update_mask={"paths": ["spec.training.epochs"]}
            )
        ),
        lambda: training.ListMetrics(pb.ListMetricsRequest(parent=name)),
        lambda: client.watch(name),
        lambda: client.models.ListCheckpoints(models_pb.ListCheckpointsRequest(parent=name)),
        lambda: client.models.DownloadModel(models_pb.DownloadModelRequest(name=name)),
        lambda: client.models.Predict(models_pb.PredictRequest(name=name)),
    ]
    for call in calls:
        error = refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_UNREADABLE")
        assert f"cannot read {name}: " in error.text
    training.DeleteTrainingJob(pb.DeleteTrainingJobRequest(name=name))
    assert refused(client.get, name).reason == "JOB_NOT_FOUND"
    assert [job.name for job in listed(client)] == [names[2], names[0]]


def test_the_request_and_dataset_of_an_unreadable_job_are_kept(damaged, refused):
    client, names, _ = damaged
    again = client.create("r1", display_name="job 1", resources=one_worker())
    assert (again.name, again.state_reason) == (names[1], "UNREADABLE")
    for name in (names[0], names[2]):
        client.cancel(name)
    dataset = datasets_pb.DeleteDatasetRequest(name=client.get(names[1]).dataset)
    error = refused(client.datasets.DeleteDataset, dataset)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DATASET_IN_USE")


def test_a_basic_list_has_all_but_the_specification(client, runner):
    epoch = EpochEnded(1, 10, 0.5, {"train": {"loss": 0.25}})
    for n in range(3):
        client.create(display_name=f"digits {n}", labels={"n": str(n)}, resources=one_worker())
    run = runner.next()
    run.begin()
    run.say(epoch)
    basic, full = listed(client, view=BASIC), listed(client, view=FULL)
    assert full == listed(client)
    for short, long in zip(basic, full, strict=True):
        assert (short.spec.display_name, dict(short.spec.labels)) == (long.spec.display_name, dict(long.spec.labels))
        assert not short.spec.HasField("network")
        long.ClearField("spec")
        short.ClearField("spec")
        assert short == long


def test_an_unknown_view_is_refused_and_a_token_belongs_to_its_view(client, refused):
    error = refused(listed, client, view=7)
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["view"])
    for _ in range(2):
        client.create(resources=one_worker())
    token = client.training.ListTrainingJobs(pb.ListTrainingJobsRequest(page_size=1, view=BASIC)).next_page_token
    error = refused(listed, client, view=FULL, page_token=token)
    assert error.reason == "INVALID_PAGE_TOKEN"
    assert len(listed(client, view=BASIC, page_token=token)) == 1
