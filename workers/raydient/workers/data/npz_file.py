"""Reads NPZ files. The declarations of the archive and its arrays are checked before anything is unpacked."""

import io
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.expansion import MAXIMUM_EXPANSION, expansion
from raydient.spec.printable import printable
from raydient.spec.values import quoted

from .arrays import Wanted, read_arrays
from .limits import Budget
from .raw import RawData, unreadable

HEADER_BYTES = 16_384
"""Maximum bytes of an array's header; NumPy's own limit is 10,000 characters."""

BLOCK_BYTES = 2**20
"""Bytes that are unpacked at a time."""

DIRECTORY_BYTES = 2**20
"""Maximum bytes of an archive's directory, enough for about 10,000 arrays. In memory it takes ten times as much."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_END_BYTES, _WIDE_END_BYTES = 22, 20 + 56
"""Sizes of the record at the end of an archive, without its comment, and of those before it in archives over 4 GiB."""
_TAIL_BYTES = 2**16 + _END_BYTES + _WIDE_END_BYTES
"""Bytes at the end of an archive that are searched: the longest comment and the records that locate the directory."""
_VERSIONS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the arrays of an NPZ file; see `read_arrays`."""
    return read_arrays("an NPZ file", _opened, files, spec, as_written, budget=budget)


@contextmanager
def _opened(path: Path) -> Iterator["_Archive"]:
    with path.open("rb") as file:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            yield _Archive(archive)


class _Archive:
    """The `Arrays` of an NPZ file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]

    def problem(self, wanted: Wanted, budget: Budget) -> str | None:
        """See `Arrays`. Only the header is unpacked."""
        return _problem(self._archive, wanted, budget)

    def read(self, name: str, budget: Budget) -> NDArray[Any]:
        """See `Arrays`."""
        return read_array(self._archive, name, budget)


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive with a large directory, which zipfile would read into memory.

    The records at the end of an archive give its size (APPNOTE.TXT 4.3.14 and 4.3.16); zipfile reports a damaged end.
    """
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - _TAIL_BYTES))
    tail = file.read()
    end = len(tail) - _END_BYTES if tail[-_END_BYTES:].startswith(b"PK\x05\x06") else tail.rfind(b"PK\x05\x06")
    if end < 0:
        return
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    wide = tail[max(0, end - _WIDE_END_BYTES) : end]
    if wide.startswith(b"PK\x06\x06"):
        size = int.from_bytes(wide[40:48], "little")
    if size > DIRECTORY_BYTES:
        raise unreadable(
            f"has a directory of {size} bytes, more than the {DIRECTORY_BYTES} that are read: save fewer arrays"
        )


def _problem(archive: zipfile.ZipFile, wanted: Wanted, budget: Budget) -> str | None:
    """Return the reason why an array cannot be read, by the declarations of the archive and its header, or None.

    Only the header is unpacked.

    Raises:
        Exception: of many types, if the entry is not an array.
    """
    member = archive.getinfo(f"{wanted.array}.npy")
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted: save it without a password"
    if member.compress_type not in _METHODS:
        return "is compressed in a way that NumPy does not write: save it with numpy.savez"
    with archive.open(member) as file:
        start = io.BytesIO(file.read(HEADER_BYTES))
    version = npy.read_magic(start)
    if version not in _VERSIONS:
        return f"is written in version {version} of the NPY format, which is for structured arrays only"
    shape, _, dtype = _VERSIONS[version](start)
    if dtype.hasobject:
        return "holds Python objects, which are not read"
    if dtype.kind not in wanted.kinds:
        return f"has dtype {printable(str(dtype))[:100]}, but must be {wanted.what(dtype)}"
    if not all(shape):
        return f"is empty: its shape is {shape}"
    size = prod(shape) * dtype.itemsize
    if start.tell() + size != member.file_size:
        text = f"has {member.file_size} bytes, but its header declares {start.tell() + size}"
        raise ValueError(f"{quoted(wanted.array)} {text}")
    if ratio := expansion(size, member.compress_size):
        text = f"is {ratio} times as large as its compressed form, more than the"
        return f"{text} {MAXIMUM_EXPANSION} times that are read: save it with numpy.savez, which does not compress"
    if dtype.kind == "U":
        budget.spend(size, texts=prod(shape))
    else:
        budget.foresee(size)
    return None


def read_array(archive: zipfile.ZipFile, name: str, budget: Budget) -> NDArray[Any]:
    """Unpack an array whose declarations have been checked."""
    with archive.open(f"{name}.npy") as member:
        shape, is_fortran, dtype = _VERSIONS[npy.read_magic(member)](member)
        array = budget.empty(shape[::-1] if is_fortran else shape, dtype)
        values, done = array.reshape(-1).view(np.uint8), 0
        while read := member.read(BLOCK_BYTES):  # at the end of the member its checksum is compared
            values[done : done + len(read)] = np.frombuffer(read, np.uint8)
            done += len(read)
        if done < len(values):
            raise EOFError(f"{name} has {done} of {len(values)} bytes")
    return array.T if is_fortran else array
