"""Malformed requests get an error of the caller, never an internal error, and the service goes on."""

import asyncio
import base64
import json
import threading

import grpc
import pytest
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from raydient.server.api.interceptor import CallInterceptor
from raydient.server.api.security import Guard
from raydient.server.training.preparation import check
from raydient.server.training.reports import EpochEnded
from raydient.v1 import dataset_service_pb2, training_service_pb2, training_service_pb2_grpc

from .fuzz import every_method, furnish, fuzz
from .mutation import outcome

TOKEN = "t" * 43


@pytest.fixture
def served(start, runner, tmp_path):
    return start(
        runner,
        lambda spec, dataset, call, validation, kept: check(
            spec, dataset, validation=validation, jobs=tmp_path / "state" / "jobs", kept=kept
        ),
    )


def test_mutated_calls_of_every_method(served, runner, caplog):
    methods = list(every_method(served.client.channel))
    codes, wrong = fuzz(served.running.address, methods, furnish(served, runner), 2000, "suite")
    assert wrong == []
    assert {method for method, _ in codes} == {method.full_name for method in methods}
    assert {code for _, code in codes} >= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []
    assert served.client.upload().size_bytes > 0


@pytest.mark.parametrize("requests", [[], [b"\xff" * 9], [b"\x0a\xff\xff\xff\xff\x0f"]], ids=["none", "tag", "length"])
def test_bytes_that_are_not_a_message_are_refused(client, refused, requests):
    for method in every_method(client.channel):
        path = f"/{method.containing_service.full_name}/{method.name}"
        if not requests and method.client_streaming:
            continue
        error = refused(client.channel.stream_stream(path), iter(requests), timeout=20)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_the_token_is_checked_before_any_byte_of_a_request(start, tmp_path, caplog):
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKEN)
    tokens.chmod(0o600)
    channel = start(tokens_file=tokens).client.channel
    authorized = (("authorization", f"Bearer {TOKEN}"),)
    released = threading.Event()

    def silence():
        """An iterator whose request arrives only when `released` is set."""
        released.wait()
        yield b""

    open_service = start(state_directory=tmp_path / "open").client.channel
    for method in every_method(open_service):
        if method.full_name == "grpc.health.v1.Health.Check":
            continue
        path = f"/{method.containing_service.full_name}/{method.name}"
        for requests in (iter([b"\xff" * 9]), silence()):
            with pytest.raises(grpc.RpcError) as caught:
                next(channel.stream_stream(path)(requests, timeout=20))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert outcome(channel, method, [b"\xff" * 9], authorized)[0] is grpc.StatusCode.INVALID_ARGUMENT
    released.set()
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []


def test_a_page_token_with_a_key_that_cannot_be_stored_is_refused(client, refused):
    for _ in range(2):
        client.create()
    request = training_service_pb2.ListTrainingJobsRequest(page_size=1)
    token = client.training.ListTrainingJobs(request).next_page_token
    origin, _ = json.loads(base64.urlsafe_b64decode(token))
    deep = "[" * 1000 + "]" * 1000
    keys = [[2**63], [-(2**63)], ["1"], [1.5], [True], [None], [], [1, 2], [float("nan")]]
    texts = [json.dumps([origin, *key]) for key in keys] + [deep, f'["{origin}", 1e999]', "[" * 1400]
    for text in texts:
        request.page_token = base64.urlsafe_b64encode(text.encode()).decode()
        error = refused(client.training.ListTrainingJobs, request)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"), text


def test_a_page_token_with_a_lone_surrogate_is_refused(client, runner, refused):
    name = client.create().name
    run = runner.next()
    run.begin()
    run.say(EpochEnded(1, 10, 0.5, {"test": {"accuracy": 0.75, "loss": 0.5}}))
    request = training_service_pb2.ListMetricsRequest(parent=name, page_size=1)
    origin, *_ = json.loads(base64.urlsafe_b64decode(client.training.ListMetrics(request).next_page_token))
    for text in ("\ud800", "\udfff" * 3):
        request.page_token = base64.urlsafe_b64encode(json.dumps([origin, 1, text, "x"]).encode()).decode()
        assert refused(client.training.ListMetrics, request).reason == "INVALID_PAGE_TOKEN"


class Waiting(training_service_pb2_grpc.TrainingServiceServicer):
    """Answers when `released` is set."""

    def __init__(self):
        self.released = asyncio.Event()

    async def DeleteTrainingJob(self, request, context):
        await self.released.wait()
        return dataset_service_pb2.Dataset()


def reason(error):
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    return rpc_status.to_status(status).code, status.details[0].value.decode(errors="replace")


async def serve(servicer, use, **limits):
    """Let `use` make calls of a server with one interceptor."""
    observed = []
    interceptor = CallInterceptor(Guard(None), lambda *call: observed.append(call[:2]), **limits)
    server = grpc.aio.server(interceptors=[interceptor])
    training_service_pb2_grpc.add_TrainingServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await use(channel)
    await server.stop(0)
    return observed


def test_a_call_without_a_request_ends_after_the_time_limit():
    async def use(channel):
        call = channel.stream_stream("/raydient.v1.TrainingService/DeleteTrainingJob")(timeout=20)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "REQUEST_TOO_SLOW" in reason(caught.value)[1]

    observed = asyncio.run(serve(Waiting(), use, request_seconds=0.05))
    assert [code for _, code in observed] == ["DEADLINE_EXCEEDED"]


def test_calls_beyond_the_limit_are_refused():
    async def main():
        servicer = Waiting()

        async def use(channel):
            delete = training_service_pb2_grpc.TrainingServiceStub(channel).DeleteTrainingJob
            request = training_service_pb2.DeleteTrainingJobRequest()
            calls = [delete(request, timeout=20) for _ in range(3)]
            codes = [asyncio.ensure_future(call.code()) for call in calls]
            done, _ = await asyncio.wait(codes, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
            servicer.released.set()
            assert sorted(code.name for code in await asyncio.gather(*codes)) == ["OK", "OK", "RESOURCE_EXHAUSTED"]
            assert await delete(request, timeout=20).code() is grpc.StatusCode.OK

        await serve(servicer, use, calls=2)

    asyncio.run(main())
