"""Bounds on the memory that reading a data file takes."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENOSPC
from math import prod
from pathlib import Path
from shutil import disk_usage
from tempfile import gettempdir
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.steps.files import array_in_file

SHARE = 0.9
"""Share of the available memory for the data of one job."""

NUMBERS_SHARE = 0.45
"""Share of the available memory for the numbers of one job; others lie in files."""

LEAST_FILE_BYTES = 2**20
"""Arrays of fewer bytes are always in memory."""

SCRATCH = Path("/var/tmp")  # noqa: S108  (files without names)
"""Folder for large files, which is on a disk where /tmp may be in memory (Filesystem Hierarchy Standard, 5.15)."""

TEXT_BYTES = 80
"""Bytes of one short text as a Python object, with its place in a list."""

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


class Budget:
    """Limit on the memory of one data set's values and of the training arrays that are made from them.

    Numbers that do not fit lie in files, which the kernel reads and writes as they are used.

    Args:
        available: bytes free on this machine; None reads them from the system.
        folder: of these files, which have no names there; None: what TMPDIR names, or SCRATCH.

    Attributes:
        spent: bytes that have been accounted for.
        folder: see above.
        in_files: True if an array lies in a file.
    """

    def __init__(self, available: int | None = None, folder: Path | None = None) -> None:
        self._available = available_bytes() if available is None else available
        self.folder = folder or scratch()
        self.spent, self.in_files = 0, False

    def spend(self, stored: int, *, texts: int = 0) -> None:
        """Account for values that are about to be read or were just read, and that have to be in memory.

        Args:
            stored: bytes of the values in the file's types; the rows of a part are copied once.
            texts: number of texts that become Python objects.

        Raises:
            InvalidSpec: the file takes more than its share.
        """
        self.spent += 2 * stored + TEXT_BYTES * texts
        if self.spent > SHARE * self._available:
            spent, available = size_text(self.spent), size_text(self._available)
            text = f"its data take more than {spent} of memory, but {available} are available"
            mend = "name fewer columns or arrays, or use a machine with more memory"
            raise InvalidSpec([FieldError("dataset.uri", f"{text}: {mend}")])

    def foresee(self, size: int) -> None:
        """Refuse numbers of which a file declares `size` bytes, before they are read, if there is no room for them.

        Raises:
            InvalidSpec: neither memory nor the folder has room.
        """
        if not self.fits(size):
            with self.refusing_full():
                if size > disk_usage(self.folder).free:
                    raise OSError(ENOSPC, os.strerror(ENOSPC))

    def fits(self, size: int) -> bool:
        """Return True if `size` bytes of numbers may be in memory."""
        return self.spent + size <= NUMBERS_SHARE * self._available

    def takes(self, size: int) -> bool:
        """Account for `size` bytes of numbers if they may be in memory; False if they have to be in a file."""
        if not self.fits(size):
            self.in_files = True
            return False
        self.spent += size
        return True

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array for numbers, in memory or in a file.

        Raises:
            InvalidSpec: neither has room.
        """
        size = prod(shape) * np.dtype(dtype).itemsize
        if size < LEAST_FILE_BYTES or self.takes(size):
            return np.empty(shape, dtype)
        with self.refusing_full():
            return array_in_file(self.folder, shape, dtype)

    @contextmanager
    def refusing_full(self) -> Iterator[None]:
        """Translate the error of a full disk to one of the data."""
        try:
            yield
        except OSError as error:
            text = f"its data do not fit {size_text(self._available)} of free memory, and {self.folder} has no room"
            text += f" for them: {error.strerror}"
            mend = "free some room, name fewer columns or arrays, or let TMPDIR name a folder that has more"
            raise InvalidSpec([FieldError("dataset.uri", f"{text}; {mend}")]) from error


class Room:
    """Memory for the work of several threads: each waits until what it needs is free.

    Args:
        size: bytes for all of them together.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = Condition()

    @contextmanager
    def taking(self, size: int) -> Iterator[None]:
        """Take some bytes for the time of the context. Raises MemoryError if there are never so many."""
        if size > self._size:
            raise MemoryError
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


def scratch() -> Path:
    """Return the folder for large files that nothing else names."""
    return Path(os.environ.get("TMPDIR") or (SCRATCH if os.access(SCRATCH, os.W_OK) else gettempdir()))


def available_bytes() -> int:
    """Return the bytes that this process can still allocate: the least of machine, control group and its own limit."""
    left = [2**63]
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        left.append(max(0, most - data_bytes()))
    if (free := _kibibytes("/proc/meminfo", "MemAvailable")) is not None:
        left.append(free)
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # the limit may be the word `max`
            left.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(left)


def machine_bytes() -> int:
    """Return the memory of this machine, or of this process's control group if that is less."""
    sizes = [size] if (size := _kibibytes("/proc/meminfo", "MemTotal")) is not None else [2**63]
    for limit, _ in _CGROUPS:
        with suppress(OSError, ValueError):
            sizes.append(int(limit.read_text()))
    return min(sizes)


def data_bytes() -> int:
    """Return the bytes of this process that count against RLIMIT_DATA; 0 if unknown."""
    return _kibibytes("/proc/self/status", "VmData") or 0


def _kibibytes(path: str, name: str) -> int | None:
    """Return the value of a line `NAME:  123 kB` of a kernel file, in bytes; None if there is no such line."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(path).read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])
    return None


def size_text(count: int) -> str:
    """Format a number of bytes: `1.5 GiB`, `20.0 MiB`."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
