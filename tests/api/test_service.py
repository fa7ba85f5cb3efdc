import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.parser import text_string_to_metric_families

from raydient.server.api.status import CODES, code_of
from raydient.server.app import StartError
from raydient.server.errors import ServiceError, Unavailable
from raydient.server.jobs import JobStore, Removals
from raydient.server.jobs.states import IllegalTransition, State
from raydient.v1 import training_job_pb2 as jobs_pb
from raydient.v1 import training_service_pb2 as training_pb

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = [f"raydient.v1.{name}Service" for name in ("Training", "Dataset", "Model")]


def subclasses(kind):
    return {kind, *(inner for outer in kind.__subclasses__() for inner in subclasses(outer))}


def test_every_error_of_the_tree_has_a_code():
    for kind in subclasses(ServiceError) - {ServiceError}:
        assert any(base in CODES for base in kind.__mro__), kind
    assert code_of(IllegalTransition("a", State.QUEUED, State.RUNNING)) is grpc.StatusCode.FAILED_PRECONDITION
    assert code_of(RuntimeError()) is grpc.StatusCode.INTERNAL


def test_health_of_known_and_unknown_services(client):
    health = health_pb2_grpc.HealthStub(client.channel)
    for service in (*SERVICES, ""):
        assert health.Check(health_pb2.HealthCheckRequest(service=service)).status == SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_their_files(client):
    database = ProtoReflectionDescriptorDatabase(client.channel)
    assert set(database.get_services()) >= {*SERVICES, "grpc.health.v1.Health"}
    for service in SERVICES:
        file = database.FindFileContainingSymbol(service)
        assert service.rpartition(".")[2] in [listed.name for listed in file.service]


def test_a_call_in_progress_is_answered_while_the_service_stops(start, runner):
    checking, go = threading.Event(), threading.Event()

    def check(spec, dataset, call, validation, kept):
        checking.set()
        go.wait()

    served = start(runner, check)
    health = health_pb2_grpc.HealthStub(served.client.channel)
    statuses = health.Watch(health_pb2.HealthCheckRequest(service=SERVICES[0]), timeout=30)
    assert next(statuses).status == SERVING
    answers = []
    calling = threading.Thread(target=lambda: answers.append(served.client.create()))
    calling.start()
    checking.wait()
    served.begin_to_stop()
    assert next(statuses).status == NOT_SERVING
    statuses.cancel()
    go.set()
    calling.join()
    assert answers[0].state == jobs_pb.TRAINING_JOB_STATE_QUEUED
    served.stop()
    assert runner.calls[-1][0] == "close"
    assert start().client.get(answers[0].name).state != jobs_pb.TRAINING_JOB_STATE_UNSPECIFIED


def endless(began, ended):
    """A check that goes on until its call is abandoned."""

    def check(spec, dataset, call, validation, kept):
        stopped = threading.Event()
        with call.ending(stopped.set):
            began.set()
            stopped.wait()
        ended.set()
        call.check()

    return check


def create_in_vain(client):
    """Start a thread that makes a call which is refused. Returns it and the list that receives the status code."""
    refused = []

    def create():
        with pytest.raises(grpc.RpcError) as error:
            client.create()
        refused.append(error.value.code())

    calling = threading.Thread(target=create)
    calling.start()
    return calling, refused


def jobs_of(client):
    return list(client.training.ListTrainingJobs(training_pb.ListTrainingJobsRequest()).training_jobs)


def test_a_check_in_progress_ends_with_the_service_and_creates_no_job(start, runner):
    began, ended = threading.Event(), threading.Event()
    served = start(runner, endless(began, ended))
    calling, refused = create_in_vain(served.client)
    began.wait()
    served.stop()
    calling.join()
    assert ended.is_set()
    assert refused[0] in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    assert jobs_of(start().client) == []


def test_a_check_ends_when_its_client_disconnects_and_creates_no_job(start, runner):
    began, ended = threading.Event(), threading.Event()
    served = start(runner, endless(began, ended))
    calling, refused = create_in_vain(served.client)
    began.wait()
    served.client.channel.close()
    calling.join()
    ended.wait()
    assert refused == [grpc.StatusCode.CANCELLED]
    served.stop()
    assert jobs_of(start().client) == []


def taken_port():
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    return taken, f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("which", ["address", "metrics_address"])
def test_an_address_in_use_is_reported_in_one_line_and_leaves_nothing_behind(start, which):
    taken, address = taken_port()
    with taken, pytest.raises(StartError, match=f"{address}: address already in use") as caught:
        start(**{which: address})
    assert "\n" not in str(caught.value)
    start()


def test_a_state_directory_that_is_in_use_or_cannot_be_used(start, tmp_path):
    start()
    with pytest.raises(StartError, match="another raydient serve"):
        start()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "raydient.db").mkdir()
    with pytest.raises(StartError, match="cannot be opened for writing"):
        start(state_directory=tmp_path / "broken")


@pytest.mark.parametrize("loss", ["missing", "empty"])
def test_a_lost_database_removes_nothing(start, runner, tmp_path, loss):
    served = start(runner)
    job = served.client.create()
    runner.next().begin()
    served.stop()
    state = tmp_path / "state"
    for file in state.glob("raydient.db*"):
        file.unlink()
    if loss == "empty":
        (state / "raydient.db").touch()
    files = {
        path: path.read_bytes() for path in (*state.glob("jobs/**/*"), *state.glob("datasets/*")) if path.is_file()
    }
    with pytest.raises(
        StartError, match="holds 1 job and 1 dataset, but its database raydient.db is " + loss
    ) as caught:
        start()
    assert f"raydient rebuild --state {state}" in str(caught.value)
    assert {path: path.read_bytes() for path in files} == files
    assert state / job.name / "job.json" in files


@pytest.mark.parametrize("method", ["unfinished", "counts", "ids"])
def test_a_store_failure_at_the_start_is_reported_in_one_line(start, tmp_path, monkeypatch, method):
    def fail(self):
        raise Unavailable("the job store cannot be reached")

    monkeypatch.setattr(JobStore, method, fail)
    with pytest.raises(StartError, match=f"from {tmp_path}/state/raydient.db: the job store cannot be reached"):
        start()


def test_unknown_files_are_reported_and_kept(start, tmp_path, caplog):
    served = start()
    job = served.client.create()
    served.stop()
    state = tmp_path / "state"
    unknown = [state / "datasets" / "notes.txt", state / "jobs" / "0123456789ab" / "model.safetensors"]
    unknown[1].parent.mkdir()
    for file in unknown:
        file.write_text("precious")
    (state / job.name / "job.json").unlink()  # as an earlier version left it
    start()
    assert [file.read_text() for file in unknown] == ["precious"] * 2
    for path in (unknown[0], unknown[1].parent):
        assert f"{path} is not in the database; it is left alone" in caplog.text
    assert (state / job.name / "job.json").is_file()


def test_an_interrupted_deletion_is_completed_at_the_next_start(start, runner, tmp_path, monkeypatch):
    served = start(runner)
    job = served.client.create()
    run = runner.next()
    run.begin()
    run.succeed()
    folder = tmp_path / "state" / job.name
    with monkeypatch.context() as patch:
        patch.setattr(Removals, "carry_out", lambda self, name: None)
        served.client.training.DeleteTrainingJob(training_pb.DeleteTrainingJobRequest(name=job.name))
        served.stop()
    assert folder.is_dir()
    start()
    assert not folder.exists()


def test_a_job_without_a_description_is_not_created(start, tmp_path, monkeypatch, refused):
    client = start().client
    client.upload()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("raydient.server.jobs.description.os.replace", full)
        error = refused(client.create)
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")
    assert list((tmp_path / "state" / "jobs").iterdir()) == []
    assert not client.training.ListTrainingJobs(training_pb.ListTrainingJobsRequest()).training_jobs


def test_an_unreachable_cluster_leaves_nothing_behind(tmp_path, start, fake_runner):
    class Absent(fake_runner):
        @property
        def slots(self):
            raise StartError("no Ray at that address")

        @slots.setter
        def slots(self, value):
            pass

    with pytest.raises(StartError, match="no Ray"):
        start(Absent())
    start()


def test_a_scrape_shows_jobs_and_calls_and_parses(start, runner):
    served = start(runner)
    served.client.create()
    runner.next().begin()
    with urllib.request.urlopen(served.running.metrics) as response:
        text = response.read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    running = [s.value for s in families["raydient_jobs"].samples if s.labels == {"state": "running"}]
    assert running == [1.0]
    calls = [s.labels for s in families["raydient_rpc_seconds"].samples if s.name.endswith("_count")]
    assert {"method": "/raydient.v1.TrainingService/CreateTrainingJob", "code": "OK"} in calls


SERVE = """
import sys
from pathlib import Path
from raydient.server.app import Settings, serve
sys.exit(serve(Settings("127.0.0.1:0", "127.0.0.1:0", Path(sys.argv[1]))))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_its_addresses_and_ends_with_0_on_a_signal(tmp_path, number):
    command = [sys.executable, "-W", "error", "-c", SERVE, tmp_path / "state"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        ready = process.stderr.readline()
        words = ready.split()
        assert words[:3] == ["raydient", "serving", "on"], ready + process.stderr.read()
        assert words[-1].startswith("http://127.0.0.1:")
        with grpc.insecure_channel(words[3].rstrip(",")) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            assert health.Check(health_pb2.HealthCheckRequest(), timeout=20).status == SERVING
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait() == 0, rest
        assert "Traceback" not in rest
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
