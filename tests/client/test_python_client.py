"""The Python client against a service in memory."""

import json
from pathlib import Path

import grpc
import pytest
from google.protobuf.json_format import ParseDict

import raydient.client
from raydient.client import (
    Client,
    LimitReached,
    NotAllowed,
    NotFound,
    NotPermitted,
    NotSupported,
    RaydientError,
    RequestRefused,
    ServerFault,
    TransferBroken,
    Unreachable,
)
from raydient.client.connection import IDEMPOTENT, service_config
from raydient.spec.validation import validate_job
from raydient.v1 import dataset_service_pb2, model_service_pb2, training_service_pb2
from raydient.v1.training_job_spec_pb2 import TrainingJobSpec


def test_public_names() -> None:
    assert raydient.client.__all__ == [
        "Client",
        "Job",
        "JobSpec",
        "Graph",
        "Node",
        "layer",
        "sequential",
        "Event",
        "StateChanged",
        "Progressed",
        "EpochEnded",
        "CheckpointTaken",
        "Noticed",
        "History",
        "Prediction",
        "Dialect",
        "LocalModel",
        "load_model",
        "Report",
        "Trained",
        "train",
        "CrossValidation",
        "cross_validate",
        "RaydientError",
        "Unreachable",
        "RequestRefused",
        "NotFound",
        "NotPermitted",
        "NotAllowed",
        "NotSupported",
        "LimitReached",
        "ServerFault",
        "TransferBroken",
        "ModelUnreadable",
        "JobNotSucceeded",
        "TimedOut",
        "MissingExtra",
        "InvalidSpec",
        "FieldError",
    ]
    for name in raydient.client.__all__:
        assert getattr(raydient.client, name).__name__ == name
    assert set(raydient.client.__all__) <= set(dir(raydient.client))
    with pytest.raises(AttributeError, match="Nothing"):
        raydient.client.Nothing  # noqa: B018


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unreachable),
        (grpc.StatusCode.CANCELLED, Unreachable),
        (grpc.StatusCode.INVALID_ARGUMENT, RequestRefused),
        (grpc.StatusCode.OUT_OF_RANGE, RequestRefused),
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.UNAUTHENTICATED, NotPermitted),
        (grpc.StatusCode.PERMISSION_DENIED, NotPermitted),
        (grpc.StatusCode.FAILED_PRECONDITION, NotAllowed),
        (grpc.StatusCode.ALREADY_EXISTS, NotAllowed),
        (grpc.StatusCode.ABORTED, NotAllowed),
        (grpc.StatusCode.UNIMPLEMENTED, NotSupported),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, LimitReached),
        (grpc.StatusCode.DATA_LOSS, TransferBroken),
        (grpc.StatusCode.INTERNAL, ServerFault),
        (grpc.StatusCode.UNKNOWN, ServerFault),
    ],
)
def test_each_status_is_an_exception(client: Client, service, code: grpc.StatusCode, kind: type[RaydientError]) -> None:
    service.fail("GetTrainingJob", code, "because", "SOME_REASON")
    with pytest.raises(kind, match="because") as caught:
        client.get("x")
    assert type(caught.value) is kind
    assert caught.value.reason == "SOME_REASON"
    assert service.calls == ["GetTrainingJob"], "nothing but UNAVAILABLE is retried"


def test_a_fault_of_the_server_names_the_incident(client: Client, service) -> None:
    service.fail("GetTrainingJob", grpc.StatusCode.INTERNAL, "failed", "INTERNAL")
    with pytest.raises(ServerFault, match="incident 7"):
        client.get("x")


def test_an_idempotent_call_is_retried_when_the_server_is_unavailable(client: Client, service, job_yaml: Path) -> None:
    for _ in range(2):
        service.fail("CreateTrainingJob", grpc.StatusCode.UNAVAILABLE)
    client.submit(job_yaml)
    requests = service.requests["CreateTrainingJob"]
    assert len(requests) == 3
    assert len({request.request_id for request in requests}) == 1


def test_a_delete_is_not_retried(client: Client, service) -> None:
    service.add_job()
    service.fail("DeleteTrainingJob", grpc.StatusCode.UNAVAILABLE, "away", "SHUTTING_DOWN")
    with pytest.raises(Unreachable, match="away") as caught:
        client.get("one").delete()
    assert caught.value.reason == "SHUTTING_DOWN"
    assert service.calls.count("DeleteTrainingJob") == 1


def test_the_retry_policy_names_existing_methods_and_unavailable_only() -> None:
    files = [module.DESCRIPTOR for module in (training_service_pb2, dataset_service_pb2, model_service_pb2)]
    services = {s.full_name: s for file in files for s in file.services_by_name.values()}
    for name, methods in IDEMPOTENT.items():
        for method in methods:
            described = services[name].methods_by_name[method]
            assert not described.client_streaming
            assert not described.server_streaming
    [config] = json.loads(service_config())["methodConfig"]
    assert config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_no_service_at_the_address() -> None:
    with (
        Client("unix:/nowhere/socket", retry_seconds=0) as client,
        pytest.raises(Unreachable, match="unix:/nowhere/socket"),
    ):
        client.get("x")


def test_every_call_carries_the_token(service, address: str) -> None:
    service.add_job()
    service.add_events()
    with Client(address, token="secret") as client:
        client.get("one").wait()
    assert {metadata["authorization"] for metadata in service.metadata} == {"Bearer secret"}


def test_lists_read_all_pages(client: Client, service) -> None:
    for number in range(5):
        service.add_job(f"jobs/{number}", state="RUNNING" if number else "FAILED")
    assert [job.name for job in client.list()] == [f"jobs/{number}" for number in range(5)]
    assert [job.name for job in client.list(states=["failed"], labels={"team": "a"})] == ["jobs/0"]
    assert dict(service.requests["ListTrainingJobs"][-1].labels) == {"team": "a"}


@pytest.mark.parametrize("place", [slice(3), slice(1, 4, 2), slice(None), slice(-2, None), slice(9, 12), 0, 4, -1])
def test_lists_are_indexed_and_sliced_from_the_newest(client: Client, service, place: int | slice) -> None:
    for number in range(5):
        service.add_job(f"jobs/{number}")
    listing = client.list()
    assert next(iter(listing)).name == "jobs/0"
    chosen, expected = listing[place], [f"jobs/{number}" for number in range(5)][place]
    assert ([job.name for job in chosen] if isinstance(place, slice) else chosen.name) == expected
    assert len(listing) == len(list(listing)) == 5
    assert listing[4] in listing
    with pytest.raises(IndexError, match="no item -6"):
        listing[-6]


def test_a_slice_reads_no_more_pages_than_it_needs(client: Client, service) -> None:
    for number in range(5):
        service.add_job(f"jobs/{number}")
    listing = client.list()
    assert "ListTrainingJobs" not in service.calls
    assert len(listing[:2]) == 2
    assert service.calls.count("ListTrainingJobs") == 1
    assert listing[0] is listing[0]
    assert listing
    assert repr(listing) == "<Listing: 2 items read so far>"
    assert service.calls.count("ListTrainingJobs") == 1
    with pytest.raises(IndexError, match="no item 5"):
        listing[5]


def test_a_list_that_broke_begins_anew(client: Client, service) -> None:
    for number in range(5):
        service.add_job(f"jobs/{number}")
    listing = client.list()
    assert listing[1].name == "jobs/1"
    service.fail("ListTrainingJobs", grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(NotPermitted):
        len(listing)
    assert [job.name for job in listing] == [f"jobs/{number}" for number in range(5)]


def test_one_state_needs_no_list(client: Client, service) -> None:
    service.add_job("jobs/0", state="FAILED")
    service.add_job("jobs/1", state="RUNNING")
    assert [job.name for job in client.list("failed")] == ["jobs/0"]
    with pytest.raises(ValueError, match="no state 3; there are: QUEUED"):
        client.list([3])


@pytest.mark.parametrize("name", ["RUNING", "unspecified", ""])
def test_an_unknown_state_is_an_error_with_the_names(client: Client, service, name: str) -> None:
    with pytest.raises(ValueError, match=f"no state {name!r}; there are: QUEUED, .*RUNNING.*CANCELLED"):
        client.list(states=[name])
    assert not service.calls


def test_a_state_is_accepted_with_the_prefix_of_the_enum(client: Client, service) -> None:
    service.add_job("jobs/0", state="FAILED")
    assert client.list(states=["TRAINING_JOB_STATE_FAILED"])[0].state == "FAILED"


def test_a_listed_job_fetches_its_specification_when_it_is_read(client: Client, service) -> None:
    network = {"layers": [{"dense": {"units": 3}}], "loss": "softmax_cross_entropy"}
    spec = validate_job({"dataset": {"uri": "datasets/a"}, "network": network})
    service.add_job("jobs/one")
    service.jobs["jobs/one"].spec.CopyFrom(ParseDict(spec.canonical(), TrainingJobSpec()))
    (full,) = client.list(full=True)
    assert full.spec == spec
    assert service.requests["ListTrainingJobs"][-1].view == training_service_pb2.TRAINING_JOB_VIEW_FULL
    (job,) = client.list()
    assert service.requests["ListTrainingJobs"][-1].view == training_service_pb2.TRAINING_JOB_VIEW_BASIC
    job.resource.spec.ClearField("network")
    assert "GetTrainingJob" not in service.calls
    assert job.spec == job.spec == spec
    assert service.calls.count("GetTrainingJob") == 1


def test_the_specification_of_a_job_that_the_service_cannot_read(client: Client, service) -> None:
    service.add_job("jobs/one")
    service.jobs["jobs/one"].ClearField("spec")
    service.jobs["jobs/one"].state_reason = "UNREADABLE"
    service.jobs["jobs/one"].state_message = "cannot read it: spec: broken"
    with pytest.raises(NotAllowed, match="spec: broken") as caught:
        client.list()[0].spec  # noqa: B018
    assert caught.value.reason == "JOB_UNREADABLE"


def test_cancel_and_delete(client: Client, service) -> None:
    service.add_job()
    job = client.get("one")
    assert job.cancel().state == "CANCELLING"
    job.delete()
    with pytest.raises(NotFound):
        job.refresh()


def test_datasets(client: Client, service, job_yaml: Path) -> None:
    stored = client.upload_dataset(job_yaml)
    assert [d.name for d in client.list_datasets()] == [stored.name]
    assert client.get_dataset(stored.sha256) == stored
    client.delete_dataset(stored.name)
    assert list(client.list_datasets()) == []
