"""A small service in memory behind real gRPC; a test prepares its answers and faults."""

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from raydient.client import Client
from raydient.client.cli import program
from raydient.v1 import dataset_service_pb2 as datasets_api
from raydient.v1 import dataset_service_pb2_grpc, model_service_pb2_grpc, training_service_pb2_grpc
from raydient.v1 import model_service_pb2 as models_api
from raydient.v1 import training_job_pb2 as jobs_api
from raydient.v1 import training_service_pb2 as api

FINAL = (
    jobs_api.TRAINING_JOB_STATE_SUCCEEDED,
    jobs_api.TRAINING_JOB_STATE_FAILED,
    jobs_api.TRAINING_JOB_STATE_CANCELLED,
)


class FakeService(
    training_service_pb2_grpc.TrainingServiceServicer,
    dataset_service_pb2_grpc.DatasetServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """The prepared content of the service; `faults` and `breaks` are consumed one by one, in order.

    Attributes:
        calls: names of the methods called, in order.
        requests: the requests of each method.
        faults: by method, statuses to answer with before the method works.
        breaks: for streams, after how many messages the connection breaks with UNAVAILABLE.
        described: what GetModel answers, but for the name.
        held: while set, a watch of an unfinished job waits at the end of its events.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.metadata: list[dict[str, str]] = []
        self.faults: dict[str, deque[status_pb2.Status]] = defaultdict(deque)
        self.breaks: deque[int] = deque()
        self.held = threading.Event()
        self.jobs: dict[str, jobs_api.TrainingJob] = {}
        self.events: dict[str, list[jobs_api.TrainingJobEvent]] = defaultdict(list)
        self.metrics: dict[str, list[jobs_api.Metric]] = defaultdict(list)
        self.created: dict[str, str] = {}
        self.train: Callable[[jobs_api.TrainingJob], None] = lambda job: None
        self.datasets: dict[str, datasets_api.Dataset] = {}
        self.uploads: list[bytes] = []
        self.partial: dict[str, bytes] = defaultdict(bytes)
        self.checkpoints: dict[str, list[int]] = defaultdict(list)
        self.model = bytes(range(256)) * 20
        self.model_sha256 = hashlib.sha256(self.model).hexdigest()
        self.predict: Callable[[models_api.PredictRequest], models_api.PredictResponse] | None = None
        self.described = models_api.Model(
            inputs=[models_api.ModelInput(name="input", shape=[2], columns=["a", "b"], is_table=True)],
            outputs=[models_api.ModelOutput(name="dense_1", label="y", shape=[2])],
        )

    # what a test arranges

    def fail(self, method: str, code: grpc.StatusCode, message: str = "no", reason: str = "", **paths: str) -> None:
        """Answer the next call of `method` with a status and details."""
        details = []
        if reason:
            details.append(error_details_pb2.ErrorInfo(reason=reason, domain="raydient", metadata={"incident": "7"}))
        if paths:
            bad = error_details_pb2.BadRequest()
            for path, description in paths.items():
                bad.field_violations.add(field=path.replace("__", "."), description=description)
            details.append(bad)
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        self.faults[method].append(status)

    def add_job(self, name: str = "jobs/one", state: str = "RUNNING", **fields: Any) -> jobs_api.TrainingJob:
        value = jobs_api.TrainingJobState.Value(f"TRAINING_JOB_STATE_{state}")
        job = jobs_api.TrainingJob(name=name, state=value, create_time=Timestamp(seconds=1_800_000_000), **fields)
        job.spec.training.epochs = 2
        self.jobs[name] = job
        return job

    def add_events(self, name: str = "jobs/one", end: str = "SUCCEEDED", message: str = "") -> None:
        """The events of a job of two epochs, with progress, and of its end unless `end` is empty."""
        events = self.events[name]
        running = jobs_api.StateChanged(state=jobs_api.TRAINING_JOB_STATE_RUNNING)
        events.append(jobs_api.TrainingJobEvent(sequence=1, state_changed=running))
        for epoch in (1, 2):
            progress = jobs_api.TrainingProgress(step=5 * epoch, steps=10, epoch=epoch, epochs=2, loss=1 / epoch)
            events.append(jobs_api.TrainingJobEvent(sequence=epoch, progress=progress))
            metric = jobs_api.Metric(name="accuracy", split="test", epoch=epoch, step=5 * epoch, value=0.5 * epoch)
            ended = jobs_api.EpochEnded(epoch=epoch, step=5 * epoch, metrics=[metric])
            events.append(jobs_api.TrainingJobEvent(sequence=epoch + 1, epoch_ended=ended))
        if end:
            state = jobs_api.TrainingJobState.Value(f"TRAINING_JOB_STATE_{end}")
            change = jobs_api.StateChanged(state=state, message=message)
            events.append(jobs_api.TrainingJobEvent(sequence=4, state_changed=change))
            self.jobs[name].state = state
            self.jobs[name].state_message = message

    # the methods

    def _enter(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        self.calls.append(method)
        self.requests[method].append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.faults[method]:
            context.abort_with_status(rpc_status.to_status(self.faults[method].popleft()))

    def _job(self, name: str, context: grpc.ServicerContext) -> jobs_api.TrainingJob:
        if name not in self.jobs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {name}")
        return self.jobs[name]

    def CreateTrainingJob(self, request: Any, context: Any) -> jobs_api.TrainingJob:
        self._enter("CreateTrainingJob", request, context)
        if known := self.created.get(request.request_id):
            return self.jobs[known]
        name = "" if request.validate_only else f"jobs/{len(self.jobs)}"
        job = jobs_api.TrainingJob(name=name, spec=request.spec, state=jobs_api.TRAINING_JOB_STATE_QUEUED)
        if name:
            self.jobs[name] = job
            self.created[request.request_id] = name
            self.train(job)
        return job

    def GetTrainingJob(self, request: Any, context: Any) -> jobs_api.TrainingJob:
        self._enter("GetTrainingJob", request, context)
        return self._job(request.name, context)

    def ListTrainingJobs(self, request: Any, context: Any) -> api.ListTrainingJobsResponse:
        self._enter("ListTrainingJobs", request, context)
        start = int(request.page_token or 0)
        jobs = [job for job in self.jobs.values() if not request.states or job.state in request.states]
        following = str(start + 2) if start + 2 < len(jobs) else ""  # pages of two
        return api.ListTrainingJobsResponse(training_jobs=jobs[start : start + 2], next_page_token=following)

    def DeleteTrainingJob(self, request: Any, context: Any) -> Empty:
        self._enter("DeleteTrainingJob", request, context)
        del self.jobs[request.name]
        return Empty()

    def CancelTrainingJob(self, request: Any, context: Any) -> jobs_api.TrainingJob:
        self._enter("CancelTrainingJob", request, context)
        job = self._job(request.name, context)
        job.state = jobs_api.TRAINING_JOB_STATE_CANCELLING
        return job

    def UpdateTrainingJob(self, request: Any, context: Any) -> jobs_api.TrainingJob:
        """Take the update over with the text of the values of the request."""
        self._enter("UpdateTrainingJob", request, context)
        job = self._job(request.training_job.name, context)
        fields = [jobs_api.FieldUpdate(path=path, before="null", after="500") for path in request.update_mask.paths]
        job.updates.add(number=len(job.updates) + 1, fields=fields)
        return job

    def ReplayTrainingJob(self, request: Any, context: Any) -> Iterator[api.ReplayTrainingJobResponse]:
        """Replay two steps; the digest is that of the job."""
        self._enter("ReplayTrainingJob", request, context)
        job = self._job(request.name, context)
        yield api.ReplayTrainingJobResponse(step=1, steps=2)
        yield api.ReplayTrainingJobResponse(step=2, steps=2, digest="c8", recorded_digest=job.digest)

    def WatchTrainingJob(self, request: Any, context: Any) -> Iterator[api.WatchTrainingJobResponse]:
        self._enter("WatchTrainingJob", request, context)
        limit = self.breaks.popleft() if self.breaks else None
        sent = 0
        for event in self.events[request.name]:
            if event.sequence > request.after_sequence:
                if sent == limit:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
                yield api.WatchTrainingJobResponse(event=event)
                sent += 1
        if self.held.is_set():
            ended = threading.Event()
            if context.add_callback(ended.set):
                ended.wait()

    def ListMetrics(self, request: Any, context: Any) -> api.ListMetricsResponse:
        self._enter("ListMetrics", request, context)
        return api.ListMetricsResponse(metrics=self.metrics[request.parent])

    def GetDataset(self, request: Any, context: Any) -> datasets_api.Dataset:
        self._enter("GetDataset", request, context)
        if request.name not in self.datasets:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {request.name}")
        return self.datasets[request.name]

    def GetDatasetUpload(self, request: Any, context: Any) -> datasets_api.DatasetUpload:
        self._enter("GetDatasetUpload", request, context)
        return datasets_api.DatasetUpload(committed_bytes=len(self.partial[request.sha256]))

    def UploadDataset(self, requests: Any, context: Any) -> datasets_api.Dataset:
        header = next(requests).header
        self._enter("UploadDataset", header, context)
        assert header.offset in (0, len(self.partial[header.sha256]))
        content = self.partial[header.sha256][: header.offset]
        limit = self.breaks.popleft() if self.breaks else None
        for number, request in enumerate(requests):
            if number == limit:
                self.partial[header.sha256] = content
                context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
            assert 0 < len(request.chunk) <= 1 << 20
            content += request.chunk
        assert len(content) == header.size_bytes
        self.partial.pop(header.sha256)
        if hashlib.sha256(content).hexdigest() != header.sha256:
            self.fail("UploadDataset", grpc.StatusCode.DATA_LOSS, reason="CHECKSUM_MISMATCH")
            context.abort_with_status(rpc_status.to_status(self.faults["UploadDataset"].popleft()))
        self.uploads.append(content)
        stored = datasets_api.Dataset(
            name=f"datasets/{header.sha256}",
            file_name=header.file_name,
            size_bytes=header.size_bytes,
            sha256=header.sha256,
        )
        self.datasets[stored.name] = stored
        return stored

    def ListDatasets(self, request: Any, context: Any) -> datasets_api.ListDatasetsResponse:
        self._enter("ListDatasets", request, context)
        return datasets_api.ListDatasetsResponse(datasets=self.datasets.values())

    def DeleteDataset(self, request: Any, context: Any) -> Empty:
        self._enter("DeleteDataset", request, context)
        del self.datasets[request.name]
        return Empty()

    def ListCheckpoints(self, request: Any, context: Any) -> models_api.ListCheckpointsResponse:
        self._enter("ListCheckpoints", request, context)
        created = Timestamp(seconds=1_800_000_000)
        steps = self.checkpoints[request.parent]
        kept = [models_api.Checkpoint(step=step, create_time=created, size_bytes=1000 * step) for step in steps]
        return models_api.ListCheckpointsResponse(checkpoints=kept)

    def DownloadModel(self, request: Any, context: Any) -> Iterator[models_api.DownloadModelResponse]:
        self._enter("DownloadModel", request, context)
        limit = self.breaks.popleft() if self.breaks else None
        header = models_api.DownloadModelHeader(
            format=request.format, size_bytes=len(self.model), sha256=self.model_sha256, digest="d" * 64
        )
        yield models_api.DownloadModelResponse(header=header)
        for number, start in enumerate(range(request.offset, len(self.model), 1000)):
            if number == limit:
                context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
            yield models_api.DownloadModelResponse(chunk=self.model[start : start + 1000])

    def GetModel(self, request: Any, context: Any) -> models_api.Model:
        self._enter("GetModel", request, context)
        model = models_api.Model(name=request.name)
        model.MergeFrom(self.described)
        return model

    def Predict(self, request: Any, context: Any) -> models_api.PredictResponse:
        self._enter("Predict", request, context)
        assert self.predict is not None
        return self.predict(request)


@pytest.fixture
def served() -> Iterator[tuple[FakeService, str]]:
    """The service and its address."""
    service = FakeService()
    server = grpc.server(ThreadPoolExecutor(8))
    training_service_pb2_grpc.add_TrainingServiceServicer_to_server(service, server)
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def service(served: tuple[FakeService, str]) -> FakeService:
    return served[0]


@pytest.fixture
def address(served: tuple[FakeService, str]) -> str:
    return served[1]


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that the client would have made, in seconds."""
    return []


@pytest.fixture
def client(address: str, pauses: list[float]) -> Iterator[Client]:
    with Client(address, sleep=pauses.append) as client:
        yield client


@pytest.fixture
def run(address: str) -> Callable[..., Result]:
    """Returns a function that runs a command against the service."""

    def run(*arguments: object, **options: Any) -> Result:
        environment = {"RAYDIENT_ADDRESS": address, "NO_COLOR": "1", "RAYDIENT_RETRY_SECONDS": "0"}
        return CliRunner(env=environment).invoke(program, [str(a) for a in arguments], **options)

    return run


@pytest.fixture
def job_yaml(tmp_path: Any) -> Any:
    """A job file with its data beside it."""
    (tmp_path / "points.csv").write_text("a,b,y\n1,2,3\n")
    path = tmp_path / "points.yaml"
    path.write_text(
        "display_name: points\n"
        "dataset:\n"
        "  uri: points.csv\n"
        "network:\n"
        "  layers:\n"
        "    - dense: {units: 1}\n"
        "  loss: mean_squared_error\n"
    )
    return path
