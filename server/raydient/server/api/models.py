# ruff: noqa: N802  (methods are called as the proto calls them)
"""ModelService, as specified in model_service.proto."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from raydient.chunks import chunk_message
from raydient.server.errors import InvalidRequest, OutOfRange, Unsupported
from raydient.server.jobs import Artifacts, JobStore, Prediction, Predictor, StoredModels, Window
from raydient.v1 import model_service_pb2 as pb
from raydient.v1.model_service_pb2_grpc import ModelServiceServicer
from raydient.workers.description import model_message
from raydient.workers.network import ExportFormat

from .messages import checkpoint_message, job_and_checkpoint, job_id
from .paging import next_page, page_size, page_start
from .tensors import array_of, tensor_of

CHUNK_BYTES = 1 << 20
CHUNKS_AT_ONCE = 4
"""Chunks that a thread reads at a time: handing each over to the thread by itself takes longer than reading it."""
PREDICTIONS, EXPORTS = 4, 2
"""Maximum numbers at a time: other calls need threads, and an export needs several times its weights' memory."""
SUFFIXES = {
    pb.MODEL_FORMAT_SAFETENSORS: ".safetensors",
    pb.MODEL_FORMAT_ONNX: ExportFormat.ONNX.value,
    pb.MODEL_FORMAT_NPZ: ExportFormat.NPZ.value,
}


@dataclass(frozen=True, slots=True)
class _Weights:
    """Stored weights: their file, the name for a copy without a suffix, and their digest."""

    path: Path
    stem: str
    digest: str


class ModelServicer(ModelServiceServicer):
    """Lists checkpoints, downloads models and predicts."""

    def __init__(self, store: JobStore, artifacts: Artifacts, models: StoredModels) -> None:
        self._store = store
        self._artifacts = artifacts
        self._models = models
        self._predictor = Predictor(models)
        self._predictions = asyncio.Semaphore(PREDICTIONS)
        self._exports = asyncio.Semaphore(EXPORTS)

    async def ListCheckpoints(self, request: pb.ListCheckpointsRequest, context: Any) -> pb.ListCheckpointsResponse:
        """See the proto."""
        size, start = page_size(request), page_start(request, int)
        job = await asyncio.to_thread(self._store.get, job_id(request.parent))
        checkpoints = await asyncio.to_thread(self._artifacts.checkpoints, job)
        rest = [checkpoint for checkpoint in checkpoints if start is None or checkpoint.step < start[0]]
        page, token = next_page(request, rest, size, lambda item: checkpoint_message(job.id, item), "step")
        return pb.ListCheckpointsResponse(checkpoints=page, next_page_token=token)

    async def DownloadModel(
        self, request: pb.DownloadModelRequest, context: Any
    ) -> AsyncIterator[pb.DownloadModelResponse | bytes]:
        """See the proto."""
        chosen = request.format or pb.MODEL_FORMAT_SAFETENSORS
        if chosen not in SUFFIXES:
            raise Unsupported(f"this version does not know format {chosen}", reason="FORMAT_NOT_IMPLEMENTED")
        weights = await asyncio.to_thread(self._find, request.name)
        file, sha256 = await self._open(weights.path, chosen)
        with file:
            size = await asyncio.to_thread(file.seek, 0, 2)
            if not 0 <= request.offset <= size:
                message = f"offset {request.offset} is not within the file's {size} bytes"
                raise OutOfRange(message, reason="OFFSET_BEYOND_END")
            yield pb.DownloadModelResponse(
                header=pb.DownloadModelHeader(
                    format=chosen,
                    size_bytes=size,
                    sha256=sha256,
                    file_name=weights.stem + SUFFIXES[chosen],
                    digest=weights.digest,
                )
            )
            file.seek(request.offset)
            while chunks := await asyncio.to_thread(_next_chunks, file):
                for chunk in chunks:
                    yield chunk

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.Model:
        """See the proto."""
        weights = await asyncio.to_thread(self._find, request.name)
        async with self._predictions:
            model = await asyncio.to_thread(self._models.load, weights.path)
            return await asyncio.to_thread(model_message, request.name, model)

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:
        """See the proto."""
        weights = await asyncio.to_thread(self._find, request.name)
        async with self._predictions:
            return await asyncio.to_thread(self._predict, weights.path, request)

    def _predict(self, path: Path, request: pb.PredictRequest) -> pb.PredictResponse:
        window = _window(request)
        if not request.arrays:
            inputs = array_of("inputs", request.inputs)
            return pb.PredictResponse(**_parts(self._predictor.predict(path, inputs, request.columns, window)))
        arrays = {name: array_of(f"arrays.{name}", tensor) for name, tensor in request.arrays.items()}
        every = self._predictor.predict_all(path, arrays, window)
        return pb.PredictResponse(predictions={name: pb.Prediction(**_parts(p)) for name, p in every.items()})

    async def _open(self, path: Path, chosen: pb.ModelFormat) -> tuple[IO[bytes], str]:
        """Open weights in a format; returns the file and its SHA-256."""
        if chosen == pb.MODEL_FORMAT_SAFETENSORS:
            return await _opened(self._read, path)
        async with self._exports:
            return await _opened(self._models.export, path, ExportFormat(SUFFIXES[chosen]))

    def _read(self, path: Path) -> tuple[IO[bytes], str]:
        with ExitStack() as opened:
            file = opened.enter_context(path.open("rb"))
            checksum = self._artifacts.checksum(file)
            opened.pop_all()
        return file, checksum

    def _find(self, name: str) -> _Weights:
        identity, wanted = job_and_checkpoint(name)
        job = self._store.get(identity)
        if wanted is None:
            title = job.spec.display_name or job.id
            stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in title).strip(".") or job.id
            return _Weights(self._artifacts.model(job), stem, job.digest)
        checkpoint = self._artifacts.checkpoint(job, wanted)
        which = wanted if isinstance(wanted, str) else f"step-{wanted}"
        return _Weights(checkpoint.weights, f"{job.id}-{which}", checkpoint.digest)


def _next_chunks(file: IO[bytes]) -> list[bytes]:
    """Read the next messages of a download; none at the file's end."""
    chunks = (file.read(CHUNK_BYTES) for _ in range(CHUNKS_AT_ONCE))
    return [chunk_message(pb.DownloadModelResponse, chunk) for chunk in chunks if chunk]


async def _opened(function: Callable[..., tuple[IO[bytes], str]], *arguments: Any) -> tuple[IO[bytes], str]:
    """Call a function that opens a file on a thread. If the caller is cancelled meanwhile, the file is closed."""
    call = asyncio.ensure_future(asyncio.to_thread(function, *arguments))

    def close(done: asyncio.Future[tuple[IO[bytes], str]]) -> None:
        if not done.cancelled() and not done.exception():
            done.result()[0].close()

    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        call.add_done_callback(close)
        raise


def _window(request: pb.PredictRequest) -> Window:
    for field in ("output_start", "output_count"):
        if (value := getattr(request, field)) < 0:
            raise InvalidRequest.of(field, f"{value} is negative", reason="INVALID_INPUTS")
    if request.output_start and not request.output_count:
        raise InvalidRequest.of("output_count", "is required with output_start", reason="INVALID_INPUTS")
    return Window(request.output_start, request.output_count)


def _parts(prediction: Prediction) -> dict[str, Any]:
    """The common fields of PredictResponse and Prediction."""
    return {
        "outputs": tensor_of(prediction.outputs),
        "classes": None if prediction.classes is None else prediction.classes.ravel(),
        "class_names": prediction.class_names,
    }
