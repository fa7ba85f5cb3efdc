"""Downloads a model: resumed after an interruption, verified, and visible only when complete."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from raydient.files import replacing
from raydient.v1.model_service_pb2 import DownloadModelHeader, DownloadModelRequest, ModelFormat

from .connection import Attempts, Connection
from .errors import RequestRefused, TransferBroken, Unreachable

FORMATS = {
    ".safetensors": ModelFormat.MODEL_FORMAT_SAFETENSORS,
    ".onnx": ModelFormat.MODEL_FORMAT_ONNX,
    ".npz": ModelFormat.MODEL_FORMAT_NPZ,
}


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A model that was written.

    Attributes:
        path: the file.
        size_bytes: size of the file.
        sha256: SHA-256 of the file.
        digest: digest of the weights.
    """

    path: Path
    size_bytes: int
    sha256: str
    digest: str


def download_model(connection: Connection, name: str, path: Path) -> Downloaded:
    """Write the weights of a job or checkpoint to `path`; its suffix selects the format."""
    chosen = FORMATS.get(path.suffix)
    if chosen is None:
        raise RequestRefused(f"{path.name}: the name has to end in one of {', '.join(FORMATS)}")
    request = DownloadModelRequest(name=name, format=chosen)
    with replacing(path) as part:
        header = _receive(connection, request, part)
    return Downloaded(path, header.size_bytes, header.sha256, header.digest)


def _receive(connection: Connection, request: DownloadModelRequest, part: BinaryIO) -> DownloadModelHeader:
    attempts = Attempts(connection)
    header = DownloadModelHeader()
    checksum = hashlib.sha256()
    while True:
        request.offset = part.tell()
        try:
            for response in connection.stream(connection.models.DownloadModel, request):
                attempts.succeeded()
                if response.HasField("header"):
                    if request.offset and response.header.sha256 != header.sha256:
                        raise TransferBroken("the model changed while it was being downloaded; try again")
                    header = response.header
                else:
                    part.write(response.chunk)
                    checksum.update(response.chunk)
        except Unreachable as error:
            attempts.pause_after(error)
            continue
        if (part.tell(), checksum.hexdigest()) != (header.size_bytes, header.sha256):
            raise TransferBroken("the model's checksum does not match; try again")
        return header
