"""Creating, reading and listing jobs over gRPC."""

import hashlib
import stat
import threading
from dataclasses import fields

import fsspec
import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from raydient.server.training.reports import EpochEnded, Progress
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.steps.measurements import GradientHealth, LayerHealth, Measurements, Staleness
from raydient.v1 import dataset_service_pb2 as datasets_pb
from raydient.v1 import training_job_pb2 as jobs_pb
from raydient.v1 import training_service_pb2 as pb

StatusCode = grpc.StatusCode


HEALTH = GradientHealth(3, (LayerHealth("dense_1", 0.5, 0.001, 0, 0.25), LayerHealth("relu", dead_units_ratio=0.0)))


PROGRESS = Progress(
    *(3, 100, 1, 10, 384, 99.5, 2, 2),
    Measurements(0.5, 0.1, {"push": 0.5}, (1,), 0.25, {"pull": 7}, HEALTH, staleness=Staleness((2, 3), 1)),
    restarts={"worker": 1},
)


NOT_PUBLIC = {"step_seconds_buckets", "step_seconds_sum", "refused", "skipped_steps", "rollbacks", "saved_bytes"}
"""Measurements that only `/metrics` shows."""


EPOCH = EpochEnded(1, 10, 0.5, {"train": {"loss": 0.25}, "test": {"loss": 0.5, "accuracy": 0.75}})


def exactly(workers):
    return {"workers": {"min": workers, "max": workers}}


def test_a_job_from_creation_to_success(client, runner):
    job = client.create(display_name="digits", labels={"team": "a"})
    assert job.name.startswith("jobs/")
    assert job.state == jobs_pb.TRAINING_JOB_STATE_QUEUED
    assert job.create_time.seconds > 0
    assert job.dataset == job.spec.dataset.uri
    run = runner.next()
    assert run.request.dataset.read_bytes().startswith(b"a,b,y")
    assert run.request.dataset.suffix == ".csv"
    run.begin()
    run.say(PROGRESS, EPOCH)
    got = client.get(job.name)
    assert got.state == jobs_pb.TRAINING_JOB_STATE_RUNNING
    assert (got.progress.step, got.progress.workers_alive, dict(got.progress.restarts)) == (3, 2, {"worker": 1})
    assert MessageToDict(got.progress.gradient_health, preserving_proto_field_name=True) == {
        "step": "3",
        "layers": [
            {
                "layer": "dense_1",
                "gradient_norm": 0.5,
                "update_ratio": 0.001,
                "non_finite_values": "0",
                "dead_units_ratio": 0.25,
            },
            {"layer": "relu", "dead_units_ratio": 0.0},
        ],
    }
    assert (list(got.progress.staleness.buckets), got.progress.staleness.sum) == ([2, 3], 1)
    assert [(m.split, m.name, m.value) for m in got.last_epoch.metrics] == [
        ("test", "accuracy", 0.75),
        ("test", "loss", 0.5),
        ("train", "loss", 0.25),
    ]
    assert got.last_epoch.duration.nanos == 500_000_000
    run.succeed("ab" * 32)
    got = client.get(job.name)
    assert (got.state, got.digest) == (jobs_pb.TRAINING_JOB_STATE_SUCCEEDED, "ab" * 32)
    assert got.end_time.seconds >= got.start_time.seconds >= got.create_time.seconds > 0


def test_all_progress_but_what_only_metrics_show_is_in_its_message():
    reported = {f.name for f in (*fields(Progress), *fields(Measurements))} - {"measurements"}
    assert {f.name for f in jobs_pb.TrainingProgress.DESCRIPTOR.fields} == reported - NOT_PUBLIC


def test_the_specification_is_returned_with_every_default(client):
    spec = MessageToDict(client.create().spec, preserving_proto_field_name=True)
    assert spec["training"] == {
        "epochs": 1,
        "batch_size": 32,
        "microbatches": 1,
        "seed": 0,
        "optimizer": {"sgd": {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False}},
        "sparse": {"exact": {}},
        "numerics": {"strict": {}},
        "accumulate": 1,
        "schedule": {"constant": {}},
        "keep": {"last": {}},
        "on_non_finite": {"fail": {}},
        "consistency": {"synchronous": {}},
    }
    assert spec["network"]["layers"][0]["dense"]["activation"] == {"identity": {}}
    assert spec["resources"] == {"workers": {"min": 2, "max": 2}, "placement": {"strategy": {"pack": {}}}}


def test_a_returned_specification_can_be_submitted_again(client):
    first = client.create(training={"epochs": 3, "batch_size": 256})
    again = client.training.CreateTrainingJob(pb.CreateTrainingJobRequest(spec=first.spec))
    assert again.spec == first.spec


def test_all_broken_rules_are_reported_at_once_with_their_paths(client, refused):
    layers = [{"dense": {"units": 0}}, {"dense": {"units": 3, "activation": {"leaky_relu": {"negative_slope": 7}}}}]
    network = {"layers": layers, "loss": {"mean_squared_error": {}}}
    error = refused(client.create, dataset={"uri": "datasets/x"}, network=network, training={"epochs": 0})
    assert (error.code, error.reason, error.domain) == (StatusCode.INVALID_ARGUMENT, "INVALID_SPEC", "raydient")
    assert sorted(error.fields) == [
        "spec.network.layers[0].dense.units",
        "spec.network.layers[1].dense.activation.leaky_relu.negative_slope",
        "spec.training.epochs",
    ]
    assert "and 2 more" in error.text


def test_violations_found_in_the_data_have_the_same_form(start, refused):
    def check(spec, dataset, call, validation, kept):
        raise InvalidSpec([FieldError("dataset.label", "there is no column z"), FieldError("", "all is wrong")])

    error = refused(start(check=check).client.create)
    assert error.violations == [("spec.dataset.label", "there is no column z"), ("spec", "all is wrong")]


def test_many_violations_fit_into_what_clients_accept(start, refused):
    def check(spec, dataset, call, validation, kept):
        raise InvalidSpec(FieldError(f"network.layers[{n}].dense.units", "ü" * 600) for n in range(1000))

    error = refused(start(check=check).client.create)
    assert error.code is StatusCode.INVALID_ARGUMENT
    assert error.fields[0] == "spec.network.layers[0].dense.units"
    assert error.violations[-1] == ("", f"and {1000 - len(error.violations) + 1} more")


def test_a_create_without_specification(client, refused):
    error = refused(client.training.CreateTrainingJob, pb.CreateTrainingJobRequest())
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["spec"])


def test_more_workers_than_the_cluster_holds_are_refused(client, refused):
    error = refused(client.create, resources=exactly(5))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["spec.resources.workers"])
    assert "4" in error.violations[0][1]


def test_an_absent_dataset_and_files_outside_the_roots(client, refused):
    error = refused(client.create, dataset={"uri": "datasets/" + "0" * 64})
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    error = refused(client.create, dataset={"uri": "/etc/passwd"})
    assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "FILE_OUTSIDE_DATA_ROOTS")
    assert "upload" in error.text


def test_a_file_below_a_data_root_is_used(start, runner, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x,y\n1,0\n")
    client = start(runner, data_roots=(tmp_path,)).client
    job = client.create(dataset={"uri": str(tmp_path / "a.csv")})
    assert runner.next().request.dataset == tmp_path / "a.csv"
    assert job.dataset == ""


def test_held_out_data_are_bound_to_the_data_roots_too(start, runner, refused, tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"x,y\n1,0\n")
    client = start(runner, data_roots=(tmp_path,)).client
    dataset = {"uri": str(tmp_path / "a.csv"), "split": {"test": 0}}
    client.create(dataset=dataset | {"validation": {"uri": str(tmp_path / "b.csv")}})
    assert runner.next().request.validation == tmp_path / "b.csv"
    error = refused(client.create, dataset=dataset | {"validation": {"uri": "/etc/passwd"}})
    assert (error.reason, error.metadata) == ("FILE_OUTSIDE_DATA_ROOTS", {"field": "dataset.validation.uri"})
    error = refused(client.create, dataset=dataset | {"validation": {"uri": str(tmp_path / "c.csv")}})
    assert error.fields == ["spec.dataset.validation.uri"]


def test_each_file_of_a_list_is_found(start, runner, refused, tmp_path):
    paths = [tmp_path / name for name in ("b.csv", "a.csv", "c.csv")]
    for path in paths:
        path.write_bytes(b"x,y\n1,0\n")
    client = start(runner, data_roots=(tmp_path,)).client
    uri, *further = map(str, paths)
    validation = {"uri": uri, "further_uris": further, "arrays": {"x": "u", "y": "v"}}
    dataset = {"uri": uri, "further_uris": further, "split": {"test": 0}}
    client.create(dataset=dataset | {"validation": validation})
    request = runner.next().request
    assert request.dataset == request.validation == tuple(paths)
    error = refused(client.create, dataset=dataset | {"further_uris": [further[0], "/etc/passwd"]})
    assert (error.reason, error.metadata) == ("FILE_OUTSIDE_DATA_ROOTS", {"field": "dataset.uri[2]"})
    error = refused(client.create, dataset=dataset | {"further_uris": [uri]})
    assert error.fields == ["spec.dataset.further_uris"]


def test_remote_files_are_stored(start, runner, refused):
    memory, content = fsspec.filesystem("memory"), b"x,y\n1,0\n"
    memory.pipe("/bucket/data/a.csv", content)
    client = start(runner, data_urls=("memory://bucket/data",)).client
    dataset = {"uri": "memory://bucket/data/a.csv"}
    name = f"datasets/{hashlib.sha256(content).hexdigest()}"
    assert client.create(validate_only=True, dataset=dataset).spec.dataset.uri == name
    job = client.create(dataset=dataset, request_id="r")
    assert (job.dataset, job.spec.dataset.uri) == (name, name)
    assert runner.next().request.dataset.read_bytes() == content
    memory.rm("/bucket/data/a.csv")
    assert client.create(dataset=dataset, request_id="r").name == job.name
    error = refused(client.create, dataset=dataset)
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["spec.dataset.uri"])
    error = refused(client.create, dataset={"uri": "memory://bucket/a.csv"})
    assert (error.code, error.reason) == (StatusCode.PERMISSION_DENIED, "URL_NOT_ALLOWED")
    error = refused(client.create, dataset={"uri": "https://user:hunter2@h/a.csv"})
    assert (error.fields, "hunter2" in error.text) == (["spec.dataset.uri"], False)


def test_validate_only_creates_nothing(client, runner, refused):
    job = client.create(validate_only=True, request_id="r")
    assert (job.name, job.HasField("create_time"), job.state) == ("", False, 0)
    assert job.spec.training.batch_size == 32
    error = refused(client.create, validate_only=True, training={"epochs": 0})
    assert error.fields == ["spec.training.epochs"]
    assert list(client.training.ListTrainingJobs(pb.ListTrainingJobsRequest()).training_jobs) == []
    assert runner.runs.empty()


def test_the_same_request_makes_one_job(client, refused):
    first = client.create(request_id="r-1")
    assert client.create(request_id="r-1").name == first.name
    error = refused(client.create, request_id="r-1", training={"seed": 7})
    assert (error.code, error.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata == {"job": first.name}
    assert client.create(request_id="r-2").name != first.name
    assert client.create().name != client.create().name


def test_the_same_request_many_times_at_once_makes_one_job(client):
    dataset = {"uri": client.upload().name}
    names = []
    threads = [
        threading.Thread(target=lambda: names.append(client.create(request_id="r", dataset=dataset).name))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 8
    assert len(set(names)) == 1


@pytest.mark.parametrize("request_id", ["x" * 65, "é", "a\nb"])
def test_a_bad_request_id(client, refused, request_id):
    error = refused(client.create, request_id=request_id)
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["request_id"])


@pytest.mark.parametrize(
    "name", ["", "jobs/", "jobs/none", "none", "jobs/../x", "datasets/x", "jobs/A", "jobs/" + "a" * 64]
)
def test_a_name_of_no_job_is_not_found(client, refused, name):
    calls = [
        lambda: client.get(name),
        lambda: client.cancel(name),
        lambda: client.watch(name),
        lambda: client.training.DeleteTrainingJob(pb.DeleteTrainingJobRequest(name=name)),
        lambda: client.training.ListMetrics(pb.ListMetricsRequest(parent=name)),
    ]
    for call in calls:
        error = refused(call)
        assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    client.training.DeleteTrainingJob(pb.DeleteTrainingJobRequest(name=name, allow_missing=True))


def test_lists_by_pages_states_and_labels(client, refused):
    names = [client.create(labels={"team": "ab"[n % 2]}, resources=exactly(4)).name for n in range(5)]
    client.cancel(names[4])

    def page(**request):
        response = client.training.ListTrainingJobs(pb.ListTrainingJobsRequest(**request))
        return [job.name for job in response.training_jobs], response.next_page_token

    assert page() == (names[::-1], "")
    first, token = page(page_size=2)
    assert first == [names[4], names[3]]
    second, token = page(page_size=2, page_token=token)
    assert second == [names[2], names[1]]
    assert page(page_size=2, page_token=token) == ([names[0]], "")
    assert page(labels={"team": "a"})[0] == [names[4], names[2], names[0]]
    assert page(labels={"team": "a"}, states=[jobs_pb.TRAINING_JOB_STATE_CANCELLED])[0] == [names[4]]
    assert page(page_size=5000)[0] == names[::-1]

    list_jobs = client.training.ListTrainingJobs
    for request in ({"page_token": token, "labels": {"team": "a"}}, {"page_token": "nonsense"}, {"page_token": "WzFd"}):
        error = refused(list_jobs, pb.ListTrainingJobsRequest(**request))
        assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
        assert error.fields == ["page_token"]
    _, token = page(page_size=2)
    error = refused(client.datasets.ListDatasets, datasets_pb.ListDatasetsRequest(page_token=token))
    assert error.reason == "INVALID_PAGE_TOKEN", "the token of another list"
    error = refused(list_jobs, pb.ListTrainingJobsRequest(page_size=-1))
    assert (error.reason, error.fields) == ("INVALID_PAGE_SIZE", ["page_size"])
    error = refused(list_jobs, pb.ListTrainingJobsRequest(states=[0, 99]))
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["states", "states"])


def test_a_page_of_large_jobs_fits_into_one_message(client):
    dataset = {"uri": client.upload().name, "features": [f"{n:05d}" + "x" * 200 for n in range(4000)]}
    names = [client.create(dataset=dataset).name for _ in range(6)]
    request = pb.ListTrainingJobsRequest(page_size=1000)
    listed, pages = [], 0
    while True:
        response = client.training.ListTrainingJobs(request)
        listed += [job.name for job in response.training_jobs]
        pages += 1
        if not response.next_page_token:
            break
        request.page_token = response.next_page_token
    assert listed == names[::-1]
    assert pages > 1


def test_a_specification_too_large_for_the_answers_is_refused(client, refused):
    features = [f"{n:05d}" + "x" * 200 for n in range(6000)]
    error = refused(client.create, dataset={"uri": "datasets/x", "features": features})
    assert (error.code, error.fields) == (StatusCode.INVALID_ARGUMENT, ["spec"])


def test_a_job_has_its_position_in_the_queue(client, runner):
    names = [client.create(resources=exactly(4)).name for _ in range(3)]
    runner.next().begin()
    assert [client.get(name).queue_position for name in names] == [0, 1, 2]
    client.cancel(names[1])
    assert client.get(names[2]).queue_position == 1


def test_curves_by_pages(client, runner, refused):
    job = client.create()
    run = runner.next()
    run.begin()
    run.say(*(EpochEnded(epoch, epoch * 10, 0.1, EPOCH.metrics) for epoch in (1, 2, 3)))
    request = pb.ListMetricsRequest(parent=job.name, page_size=4)
    metrics = []
    while True:
        response = client.training.ListMetrics(request)
        metrics += response.metrics
        if not response.next_page_token:
            break
        assert len(response.metrics) == 4
        request.page_token = response.next_page_token
    keys = [(m.epoch, m.split, m.name, m.step) for m in metrics]
    assert keys == sorted(keys)
    assert len(keys) == 9
    assert keys[0] == (1, "test", "accuracy", 10)


def test_an_internal_error_hides_its_cause_and_paths(start, refused, caplog):
    def check(spec, dataset, call, validation, kept):
        raise RuntimeError(f"secret at {dataset}")

    error = refused(start(check=check).client.create)
    assert (error.code, error.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in error.text
    assert "/" not in error.text
    [logged] = [record for record in caplog.records if "CreateTrainingJob failed" in record.message]
    assert error.metadata["incident"] in logged.message
    assert error.metadata["incident"] in error.text
    assert "secret" in str(logged.exc_info[1])


def test_a_new_server_continues_every_job(start, fake_runner):
    runner = fake_runner()
    first = start(runner)
    names = [first.client.create(resources=exactly(3)).name for _ in range(2)]
    runner.next().begin()
    first.stop()
    assert ("pause", names[0].removeprefix("jobs/")) in runner.calls
    runner = fake_runner()
    client = start(runner).client
    run = runner.next()
    assert run.request.job == names[0].removeprefix("jobs/")
    run.begin()
    assert [client.get(name).state for name in names] == [
        jobs_pb.TRAINING_JOB_STATE_RUNNING,
        jobs_pb.TRAINING_JOB_STATE_QUEUED,
    ]
    assert client.get(names[0]).restarts == 1


def test_the_state_directory_is_private_to_the_owner(start, tmp_path):
    start().client.create()
    state = tmp_path / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for path in state.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_message_beyond_the_limit_is_refused_and_the_service_goes_on(client, refused):
    big = b"x" * (5 << 20)
    with pytest.raises(grpc.RpcError) as caught:
        client.upload(big, chunk=len(big), sha256=hashlib.sha256(big).hexdigest())
    assert caught.value.code() is StatusCode.RESOURCE_EXHAUSTED
    assert client.upload().size_bytes > 0
