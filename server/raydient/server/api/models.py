# ruff: noqa: N802  (methods are called as the proto calls them)
"""ModelService: see model_service.proto for what each method promises."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from raydient.server.errors import InvalidRequest, OutOfRange, Unsupported
from raydient.server.jobs import Artifacts, JobStore, Prediction, Predictor, StoredModels
from raydient.v1 import model_service_pb2 as pb
from raydient.v1.model_service_pb2_grpc import ModelServiceServicer
from raydient.workers.network import ExportFormat

from .messages import checkpoint_message
from .names import job_and_step, job_id
from .paging import next_page, page_size, page_start

CHUNK_BYTES = 1 << 20
PREDICTIONS, EXPORTS = 4, 2
"""So many at a time; other calls need threads, too, and an export a multiple of its weights' memory."""
SUFFIXES = {
    pb.MODEL_FORMAT_SAFETENSORS: ".safetensors",
    pb.MODEL_FORMAT_ONNX: ExportFormat.ONNX.value,
    pb.MODEL_FORMAT_NPZ: ExportFormat.NPZ.value,
}


@dataclass(frozen=True, slots=True)
class _Weights:
    """Weights that are kept: their file, what to call a copy, without a suffix, and their digest."""

    path: Path
    stem: str
    digest: str


class ModelServicer(ModelServiceServicer):
    """Checkpoints and models of jobs."""

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
        found = await asyncio.to_thread(self._artifacts.checkpoints, job)
        rest = [checkpoint for checkpoint in found if start is None or checkpoint.step < start[0]]
        page, token = next_page(request, rest, size, lambda item: checkpoint_message(job.id, item), "step")
        return pb.ListCheckpointsResponse(checkpoints=page, next_page_token=token)

    async def DownloadModel(
        self, request: pb.DownloadModelRequest, context: Any
    ) -> AsyncIterator[pb.DownloadModelResponse]:
        """See the proto."""
        chosen = request.format or pb.MODEL_FORMAT_SAFETENSORS
        if chosen not in SUFFIXES:
            raise Unsupported(f"format {chosen} is unknown to this version", reason="FORMAT_NOT_IMPLEMENTED")
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
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield pb.DownloadModelResponse(chunk=chunk)

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:
        """See the proto."""
        weights = await asyncio.to_thread(self._find, request.name)
        path = weights.path
        async with self._predictions:
            if request.arrays:
                arrays = {name: _array(name, tensor) for name, tensor in request.arrays.items()}
                every = await asyncio.to_thread(self._predictor.predict_all, path, arrays)
                return pb.PredictResponse(predictions={name: pb.Prediction(**_parts(p)) for name, p in every.items()})
            inputs, columns = request.inputs, list(request.columns)
            found = await asyncio.to_thread(self._predictor.predict, path, inputs.shape, inputs.values, columns)
        return pb.PredictResponse(**_parts(found))

    async def _open(self, path: Path, chosen: pb.ModelFormat) -> tuple[IO[bytes], str]:
        """Weights in a format: an open file and its SHA-256."""
        if chosen == pb.MODEL_FORMAT_SAFETENSORS:
            file = await asyncio.to_thread(path.open, "rb")
            return file, await asyncio.to_thread(self._artifacts.checksum, file)
        async with self._exports:
            return await asyncio.to_thread(self._models.export, path, ExportFormat(SUFFIXES[chosen]))

    def _find(self, name: str) -> _Weights:
        identity, step = job_and_step(name)
        job = self._store.get(identity)
        if step is None:
            title = job.spec.display_name or job.id
            stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in title).strip(".") or job.id
            return _Weights(self._artifacts.model(job), stem, job.digest)
        checkpoint = self._artifacts.checkpoint(job, step)
        return _Weights(checkpoint.weights, f"{job.id}-step-{step}", checkpoint.digest)


def _array(name: str, tensor: pb.Tensor) -> NDArray[Any]:
    """A tensor's numbers or texts in its shape."""
    given = np.array(tensor.texts, object) if tensor.texts else np.array(tensor.values, np.float32)
    if min(tensor.shape, default=0) < 1 or math.prod(tensor.shape) != len(given):
        message = f"{list(tensor.shape)} has not the {len(given)} values that came"
        raise InvalidRequest.of(f"arrays.{name}.shape", message, reason="INVALID_INPUTS")
    return given.reshape(tuple(tensor.shape))


def _parts(found: Prediction) -> dict[str, Any]:
    """What both messages of a prediction say."""
    outputs = pb.Tensor(shape=found.outputs.shape, values=found.outputs.ravel())
    return {"outputs": outputs, "classes": found.classes, "class_names": found.class_names}
