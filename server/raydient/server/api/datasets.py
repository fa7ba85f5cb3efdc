# ruff: noqa: N802  (methods are called as the proto calls them)
"""DatasetService, as specified in dataset_service.proto."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ParamSpec, TypeVar

from google.protobuf.empty_pb2 import Empty

from raydient.server.errors import InvalidRequest, Late, NotFound, Unsupported
from raydient.server.jobs import Header, JobManager
from raydient.v1 import dataset_service_pb2 as pb
from raydient.v1.dataset_service_pb2_grpc import DatasetServiceServicer

from .messages import dataset_id, dataset_message
from .paging import next_page, page_size, page_start
from .security import caller

CHUNKS_AT_ONCE = 4
"""Most chunks that wait for a thread that writes."""
P = ParamSpec("P")
R = TypeVar("R")


class DatasetServicer(DatasetServiceServicer):
    """Receives, lists and deletes uploaded files."""

    def __init__(self, jobs: JobManager) -> None:
        self._jobs = jobs
        self._datasets = jobs.datasets

    async def UploadDataset(self, requests: AsyncIterator[pb.UploadDatasetRequest], context: Any) -> pb.Dataset:
        """See the proto."""
        header = await _header(requests, caller(context))
        known = await asyncio.to_thread(self._datasets.stored, header.name, header.sha256)
        if known is not None:
            return dataset_message(known)
        upload = self._datasets.begin(header)
        writing: asyncio.Future[None] = asyncio.ensure_future(_in_thread(upload.open))
        waiting: list[bytes] = []
        try:
            await writing
            async for request in requests:
                if request.WhichOneof("part") != "chunk":
                    raise InvalidRequest.of(
                        "chunk", "every request after the header must contain a chunk", reason="CHUNK_EXPECTED"
                    )
                waiting.append(request.chunk)
                if writing.done() or len(waiting) == CHUNKS_AT_ONCE:  # others arrive while a thread writes these
                    await writing
                    writing = asyncio.ensure_future(_in_thread(upload.write, *waiting))
                    waiting = []
            await writing
            await _in_thread(upload.write, *waiting)
            return dataset_message(await _in_thread(upload.finish))
        except (asyncio.CancelledError, Late):  # the connection broke or stalls, or the service stops
            await asyncio.gather(writing, return_exceptions=True)
            upload.suspend()
            raise
        finally:
            await asyncio.gather(writing, return_exceptions=True)
            upload.close()

    async def GetDatasetUpload(self, request: pb.GetDatasetUploadRequest, context: Any) -> pb.DatasetUpload:
        """See the proto."""
        content = (request.sha256, request.size_bytes)
        kept = await asyncio.to_thread(self._datasets.kept_bytes, *content, caller(context))
        return pb.DatasetUpload(committed_bytes=kept)

    async def RegisterDataset(self, request: pb.RegisterDatasetRequest, context: Any) -> pb.Dataset:
        """See the proto."""
        raise Unsupported("registering files is not implemented yet; upload the file, or use a path below a data root")

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Any) -> pb.Dataset:
        """See the proto."""
        return dataset_message(await asyncio.to_thread(self._datasets.get, dataset_id(request.name)))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Any) -> pb.ListDatasetsResponse:
        """See the proto."""
        size, start = page_size(request), page_start(request, int)
        datasets = await asyncio.to_thread(self._datasets.page, size + 1, start[0] if start else None)
        page, token = next_page(request, datasets, size, dataset_message, "number")
        return pb.ListDatasetsResponse(datasets=page, next_page_token=token)

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Any) -> Empty:
        """See the proto."""
        try:
            await asyncio.to_thread(self._jobs.delete_dataset, dataset_id(request.name))
        except NotFound:
            if not request.allow_missing:
                raise
        return Empty()


async def _header(requests: AsyncIterator[pb.UploadDatasetRequest], client: str) -> Header:
    first = await anext(aiter(requests), None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidRequest.of("header", "the first request must contain the header", reason="INVALID_HEADER")
    sent = first.header
    header = Header(sent.file_name, sent.size_bytes, sent.sha256, client, sent.offset)
    header.check()
    return header


async def _in_thread(work: Callable[P, R], *arguments: P.args, **keywords: P.kwargs) -> R:
    """Call a function in a thread. If this call is cancelled, wait for the function's end first."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **keywords))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
