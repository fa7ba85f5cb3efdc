"""A service in this process, on a fake cluster that runs nothing, and its clients."""

import asyncio
import hashlib
import threading
from contextlib import ExitStack

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from raydient.server.service import Settings, running_service
from raydient.v1 import dataset_service_pb2, training_job_spec_pb2, training_service_pb2
from raydient.v1.dataset_service_pb2_grpc import DatasetServiceStub
from raydient.v1.model_service_pb2_grpc import ModelServiceStub
from raydient.v1.training_service_pb2_grpc import TrainingServiceStub

from .models import make_model

CSV = b"a,b,y\n1,2,0\n3,4,1\n5,6,2\n"


class Client:
    """Stubs of one channel."""

    def __init__(self, channel):
        self.channel = channel
        self.training = TrainingServiceStub(channel)
        self.datasets = DatasetServiceStub(channel)
        self.models = ModelServiceStub(channel)

    def upload(self, content=CSV, name="digits.csv", size=None, sha256=None, chunk=7):
        header = dataset_service_pb2.UploadDatasetHeader(
            file_name=name,
            size_bytes=len(content) if size is None else size,
            sha256=sha256 or hashlib.sha256(content).hexdigest(),
        )
        parts = [dataset_service_pb2.UploadDatasetRequest(header=header)]
        for start in range(0, len(content), chunk):
            parts.append(dataset_service_pb2.UploadDatasetRequest(chunk=content[start : start + chunk]))
        return self.datasets.UploadDataset(iter(parts))

    def create(self, request_id="", validate_only=False, **parts):
        """A job on an uploaded dataset; `parts` replace parts of its specification."""
        if "dataset" not in parts:
            parts["dataset"] = {"uri": self.upload().name}
        network = {"layers": [{"dense": {"units": 3}}], "loss": {"softmax_cross_entropy": {}}}
        spec = ParseDict({"network": network, **parts}, training_job_spec_pb2.TrainingJobSpec())
        request = training_service_pb2.CreateTrainingJobRequest(
            spec=spec, request_id=request_id, validate_only=validate_only
        )
        return self.training.CreateTrainingJob(request)

    def get(self, name):
        return self.training.GetTrainingJob(training_service_pb2.GetTrainingJobRequest(name=name))

    def cancel(self, name):
        return self.training.CancelTrainingJob(training_service_pb2.CancelTrainingJobRequest(name=name))

    def watch(self, name, after=0):
        request = training_service_pb2.WatchTrainingJobRequest(name=name, after_sequence=after)
        return self.training.WatchTrainingJob(request, timeout=30)


class Served:
    """A service on a thread of its own."""

    def __init__(self, settings, runner, check):
        self._stop = self._loop = None
        self.running = self.error = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(settings, runner, check))
        self._thread.start()
        self._ready.wait()
        if self.error is not None:
            self._thread.join()
            raise self.error

    def _run(self, settings, runner, check):
        async def main():
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            async with running_service(settings, lambda: runner, check) as self.running:
                self._ready.set()
                await self._stop.wait()

        try:
            asyncio.run(main())
        except Exception as error:
            self.error = error
        finally:
            self._ready.set()

    def stop(self):
        """Stop gracefully; returns when it is done. Harmless when repeated."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    close = stop

    def begin_to_stop(self):
        self._loop.call_soon_threadsafe(self._stop.set)


@pytest.fixture
def start(tmp_path, fake_runner):
    """Returns a function that starts a service with these settings; its `client` is connected to it."""
    with ExitStack() as stack:

        def start(runner=None, check=lambda spec, dataset, call, validation, kept: None, **settings):
            place = {"address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0", "state_directory": tmp_path / "state"}
            place |= {"disk_reserve_bytes": 0}
            served = Served(Settings(**(place | settings)), runner or fake_runner(), check)
            stack.callback(served.stop)
            channel = stack.enter_context(grpc.insecure_channel(served.running.address))
            served.client = Client(channel)
            return served

        yield start


@pytest.fixture
def runner(fake_runner):
    return fake_runner()


@pytest.fixture
def client(start, runner):
    return start(runner).client


@pytest.fixture
def trained(client, runner, tmp_path):
    """Returns a function that makes a successful job, and returns its name and its model."""

    def trained(**parts):
        name = client.create(display_name="my digits/1").name
        run = runner.next()
        run.begin()
        model = make_model(run.request.directory / "model.safetensors", **parts)
        run.succeed(model.digest)
        return name, model

    return trained


class Refused:
    """The status of a failed call: code, text, reason, metadata, violations by field."""

    def __init__(self, error):
        self.code = error.code()
        self.text = error.details()
        status = rpc_status.from_call(error)
        details = {detail.type_url.rpartition(".")[2]: detail for detail in status.details}
        info = error_details_pb2.ErrorInfo()
        details["ErrorInfo"].Unpack(info)
        self.reason, self.domain, self.metadata = info.reason, info.domain, dict(info.metadata)
        bad = error_details_pb2.BadRequest()
        if "BadRequest" in details:
            details["BadRequest"].Unpack(bad)
        self.violations = [(v.field, v.description) for v in bad.field_violations]
        self.fields = [field for field, _ in self.violations]


@pytest.fixture
def refused():
    """Makes a call that must fail and returns its status."""

    def exhaust(call, *arguments, **keywords):
        result = call(*arguments, **keywords)
        return list(result) if hasattr(result, "__next__") else result

    def refused(call, *arguments, **keywords):
        with pytest.raises(grpc.RpcError) as caught:
            exhaust(call, *arguments, **keywords)
        return Refused(caught.value)

    return refused


@pytest.fixture
def impatient(monkeypatch):
    """A server that disconnects slow watchers after 0.05 s."""
    monkeypatch.setattr("raydient.server.api.watching.PATIENCE_SECONDS", 0.05)


@pytest.fixture
def forgetful(monkeypatch):
    """Jobs keep 10 events."""
    monkeypatch.setattr("raydient.server.jobs.ageing.EVENTS_KEPT", 10)
