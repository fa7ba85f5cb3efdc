"""Uploads data files to the service."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from raydient.v1 import dataset_service_pb2 as api

from .connection import Connection
from .errors import NotFound

CHUNK_BYTES = 1 << 20


def upload(connection: Connection, path: Path) -> api.Dataset:
    """Store a file on the server, unless the server has its content. Blocks until it is durable."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    try:
        request = api.GetDatasetRequest(name=f"datasets/{sha256}")
        known: api.Dataset = connection.call(connection.datasets.GetDataset, request)
    except NotFound:
        header = api.UploadDatasetHeader(file_name=path.name, size_bytes=size, sha256=sha256)
        stored: api.Dataset = connection.call(connection.datasets.UploadDataset, _parts(header, path), None)
        return stored
    return known


def _parts(header: api.UploadDatasetHeader, path: Path) -> Iterator[api.UploadDatasetRequest]:
    yield api.UploadDatasetRequest(header=header)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield api.UploadDatasetRequest(chunk=chunk)
