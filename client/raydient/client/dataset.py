"""Uploads data files to the service."""

from collections.abc import Iterator
from pathlib import Path

from raydient.chunks import chunk_message
from raydient.files import sha256_of
from raydient.v1 import dataset_service_pb2 as api

from .connection import Attempts, Connection
from .errors import NotFound, RequestRefused, TransferBroken, Unreachable

CHUNK_BYTES = 1 << 20
_NOT_KEPT = ("OFFSET_MISMATCH", "CHECKSUM_MISMATCH")
"""Reasons for which the bytes that a server has kept are of no use; it has removed them."""


def upload(connection: Connection, path: Path) -> api.Dataset:
    """Store a file on the server, unless the server has its content. Blocks until it is durable.

    A transfer that breaks goes on behind the bytes that the server has kept, in a later call too.
    """
    sha256 = sha256_of(path)
    header = api.UploadDatasetHeader(file_name=path.name, size_bytes=path.stat().st_size, sha256=sha256)
    attempts = Attempts(connection)
    while (known := _known(connection, sha256)) is None:
        before, header.offset = header.offset, _kept_bytes(connection, header)
        if header.offset > before:
            attempts.succeeded()
        try:
            return _sent(connection, header, path)
        except Unreachable as error:
            attempts.pause_after(error)
        except (RequestRefused, TransferBroken) as error:
            if not (header.offset and error.reason in _NOT_KEPT):
                raise
    return known


def _known(connection: Connection, sha256: str) -> api.Dataset | None:
    """Return the dataset with this content; None if the server does not have it."""
    try:
        known: api.Dataset = connection.call(
            connection.datasets.GetDataset, api.GetDatasetRequest(name=f"datasets/{sha256}")
        )
    except NotFound:
        return None
    return known


def _kept_bytes(connection: Connection, header: api.UploadDatasetHeader) -> int:
    """Return how many bytes of a file the server has kept of a transfer that broke."""
    request = api.GetDatasetUploadRequest(size_bytes=header.size_bytes, sha256=header.sha256)
    kept: api.DatasetUpload = connection.call(connection.datasets.GetDatasetUpload, request)
    return kept.committed_bytes


def _sent(connection: Connection, header: api.UploadDatasetHeader, path: Path) -> api.Dataset:
    stored: api.Dataset = connection.call(connection.datasets.UploadDataset, _parts(header, path), None)
    return stored


def _parts(header: api.UploadDatasetHeader, path: Path) -> Iterator[api.UploadDatasetRequest | bytes]:
    yield api.UploadDatasetRequest(header=header)
    with path.open("rb") as file:
        file.seek(header.offset)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk_message(api.UploadDatasetRequest, chunk)
