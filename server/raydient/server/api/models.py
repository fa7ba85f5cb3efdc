# ruff: noqa: N802  (methods are called as the proto calls them)
"""ModelService: see model_service.proto for what each method promises."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydient.server.errors import OutOfRange, Unsupported
from raydient.server.jobs import Artifacts, JobStore, Predictor
from raydient.v1 import model_service_pb2 as pb
from raydient.v1.model_service_pb2_grpc import ModelServiceServicer

from .messages import checkpoint_message
from .names import job_and_step, job_id
from .paging import next_page, page_size, page_start

CHUNK_BYTES = 1 << 20
PREDICTIONS = 4
"""So many at a time; other calls need threads, too."""


@dataclass(frozen=True, slots=True)
class _Weights:
    """A file to download: where it is, what it is called there, the digest of what is in it."""

    path: Path
    file_name: str
    digest: str


class ModelServicer(ModelServiceServicer):
    """Checkpoints and models of jobs."""

    def __init__(self, store: JobStore, artifacts: Artifacts, predictor: Predictor) -> None:
        self._store = store
        self._artifacts = artifacts
        self._predictor = predictor
        self._predictions = asyncio.Semaphore(PREDICTIONS)

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
        if request.format not in (pb.MODEL_FORMAT_UNSPECIFIED, pb.MODEL_FORMAT_SAFETENSORS):
            message = "models are written as safetensors only for now"
            raise Unsupported(message, reason="FORMAT_NOT_IMPLEMENTED")
        weights = await asyncio.to_thread(self._find, request.name)
        with await asyncio.to_thread(weights.path.open, "rb") as file:
            sha256 = await asyncio.to_thread(self._artifacts.checksum, file)
            size = await asyncio.to_thread(file.seek, 0, 2)
            if not 0 <= request.offset <= size:
                message = f"offset {request.offset} is not within the file's {size} bytes"
                raise OutOfRange(message, reason="OFFSET_BEYOND_END")
            yield pb.DownloadModelResponse(
                header=pb.DownloadModelHeader(
                    format=pb.MODEL_FORMAT_SAFETENSORS,
                    size_bytes=size,
                    sha256=sha256,
                    file_name=weights.file_name,
                    digest=weights.digest,
                )
            )
            file.seek(request.offset)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield pb.DownloadModelResponse(chunk=chunk)

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:
        """See the proto."""
        identity, step = job_and_step(request.name)
        job = await asyncio.to_thread(self._store.get, identity)
        if step is not None:
            raise Unsupported("predicting with a checkpoint is not implemented yet; with the model of a job it is")
        path = await asyncio.to_thread(self._artifacts.model, job)
        inputs = request.inputs
        columns = list(request.columns)
        async with self._predictions:
            found = await asyncio.to_thread(self._predictor.predict, path, inputs.shape, inputs.values, columns)
        outputs = pb.Tensor(shape=found.outputs.shape, values=found.outputs.ravel())
        return pb.PredictResponse(outputs=outputs, classes=found.classes, class_names=found.class_names)

    def _find(self, name: str) -> _Weights:
        identity, step = job_and_step(name)
        job = self._store.get(identity)
        if step is None:
            title = job.spec.display_name or job.id
            stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in title).strip(".") or job.id
            return _Weights(self._artifacts.model(job), f"{stem}.safetensors", job.digest)
        checkpoint = self._artifacts.checkpoint(job, step)
        return _Weights(checkpoint.weights, f"{job.id}-step-{step}.safetensors", checkpoint.digest)
