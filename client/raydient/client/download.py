"""Downloads a model: resumed after an interruption, verified, and visible only when complete."""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from raydient.files import replacing, sync_folder
from raydient.v1.model_service_pb2 import DownloadModelHeader, DownloadModelRequest, ModelFormat

from .connection import Attempts, Connection
from .errors import RequestRefused, TransferBroken, Unreachable

FORMATS = {
    ".safetensors": ModelFormat.MODEL_FORMAT_SAFETENSORS,
    ".onnx": ModelFormat.MODEL_FORMAT_ONNX,
    ".npz": ModelFormat.MODEL_FORMAT_NPZ,
}
_CHUNK_BYTES = 1 << 20


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
    """Write the weights of a job or checkpoint to `path`; its suffix selects the format.

    What has arrived of an interrupted download lies beside it as `.NAME.part`, and the next one to the same path goes
    on from there.
    """
    request = DownloadModelRequest(name=name, format=format_of(path))
    with _resuming(path) as part:
        header = _receive(connection, request, part)
    return Downloaded(path, header.size_bytes, header.sha256, header.digest)


def format_of(path: Path) -> ModelFormat:
    """Return the format that the suffix of a path selects. Raises RequestRefused."""
    chosen = FORMATS.get(path.suffix)
    if chosen is None:
        raise RequestRefused(f"{path.name}: the name has to end in one of {', '.join(FORMATS)}")
    return chosen


@contextmanager
def _resuming(path: Path) -> Iterator[BinaryIO]:
    """Open the part of a file that an earlier download has left, or a new one; it becomes `path`, durably, in the end.

    A part that turns out to be wrong, or is empty, is removed. If another process writes to the part, or it is not this
    user's, this download begins with a file of its own.
    """
    place = path.with_name(f".{path.name}.part")
    opened = _opened(place)
    if opened is None:
        with replacing(path) as own:
            yield own
        return
    with opened as part:
        try:
            yield part
            part.flush()
            os.fsync(part.fileno())
            place.replace(path)
        except BaseException as error:
            part.flush()
            if isinstance(error, TransferBroken) or not part.tell():
                place.unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def _opened(place: Path) -> BinaryIO | None:
    """Open and lock a part. None if another process has it, or it is no plain file of this user alone.

    Other users may leave a file, a link or a pipe by this name in a folder to which they may write.
    """
    try:
        part = open(os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666), "r+b")  # noqa: SIM115  (the caller closes it)
    except OSError:
        if os.path.lexists(place):
            return None
        raise
    try:
        status = os.fstat(part.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return part
    except BlockingIOError:
        pass
    part.close()
    return None


def _receive(connection: Connection, request: DownloadModelRequest, part: BinaryIO) -> DownloadModelHeader:
    """Write the rest of a model behind the bytes that `part` has; from its beginning if these are not of this model."""
    checksum = _checksum(part)
    resumed = part.tell()
    try:
        header = _receive_rest(connection, request, part, checksum)
        if (part.tell(), checksum.hexdigest()) == (header.size_bytes, header.sha256):
            return header
    except RequestRefused as error:
        if not resumed or error.reason != "OFFSET_BEYOND_END":
            raise
    if not resumed:
        raise TransferBroken("the model's checksum does not match; try again")
    part.seek(0)
    part.truncate()
    return _receive(connection, request, part)


def _checksum(part: BinaryIO) -> "hashlib._Hash":
    """Return the checksum of the bytes of a file, whose position is its end then."""
    checksum = hashlib.sha256()
    part.seek(0)
    while part.readable() and (chunk := part.read(_CHUNK_BYTES)):
        checksum.update(chunk)
    return checksum


def _receive_rest(
    connection: Connection, request: DownloadModelRequest, part: BinaryIO, checksum: "hashlib._Hash"
) -> DownloadModelHeader:
    attempts, header = Attempts(connection), DownloadModelHeader()
    while True:
        request.offset = part.tell()
        try:
            for response in connection.stream(connection.models.DownloadModel, request):
                attempts.succeeded()
                if response.HasField("header"):
                    if header.sha256 and response.header.sha256 != header.sha256:
                        raise TransferBroken("the model changed while it was being downloaded; try again")
                    header = response.header
                else:
                    part.write(response.chunk)
                    checksum.update(response.chunk)
        except Unreachable as error:
            attempts.pause_after(error)
            continue
        return header
