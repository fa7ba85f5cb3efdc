"""Data files on their way to the service, and which file a job means."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec
from raydient.v1 import dataset_service_pb2 as api

from .connection import Connection
from .errors import NotFound

CHUNK_BYTES = 1 << 20


def local_file(spec: JobSpec, directory: Path) -> Path | None:
    """The local file that a job trains on, relative to `directory`.

    None if the data is the server's: a stored dataset, a URL, or an absolute path that is not here.

    Raises:
        InvalidSpec: there is no such file.
    """
    uri = spec.dataset.uri
    if re.fullmatch(r"datasets/[0-9a-f]{64}", uri) or re.match(r"[a-z][a-z0-9+.-]*://", uri):
        return None
    path = directory / uri
    if path.is_file():
        return path
    if Path(uri).is_absolute() and not path.exists():
        return None
    problem = "is not a file" if path.exists() else "no such file"
    raise InvalidSpec([FieldError("dataset.uri", f'"{uri}": {problem} (looked for {path})')])


def with_dataset(spec: JobSpec, uri: str) -> JobSpec:
    """The same job on other data."""
    return spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"uri": uri})})


def upload(connection: Connection, path: Path) -> api.Dataset:
    """Store a file on the server, unless its content is there already. Blocks until it is durable there."""
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
