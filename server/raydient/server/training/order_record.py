"""The record of the order of arrival in a job's folder, from which a job that is not synchronous can be replayed.

    arrivals/000000000000-000000000120      the pushes applied in the steps from 0 up to 120; see `steps.order`

Each snapshot brings the pushes since the one before. They are durable before the checkpoint is, so the record is
complete up to each checkpoint. A run that goes on from a checkpoint removes the record of later steps.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from raydient.files import LOCAL, Disk, remove_leftovers, write_durably
from raydient.steps.order import Arrival, unpack

FOLDER = "arrivals"
LIMIT = 1 << 32
"""Maximum bytes of a file of the record."""
Part = tuple[int, int, list[Arrival]]
"""First step, end and pushes of a part of a record."""
_NAME = re.compile(r"(\d{12})-(\d{12})")


class OrderRecord:
    """Writes the record of a job. Not thread-safe."""

    def __init__(self, directory: Path, disk: Disk = LOCAL) -> None:
        """`directory` is the job's folder. Nothing is written for a synchronous job."""
        self._folder, self._disk = directory / FOLDER, disk
        self._durable = self._newest = 0  # steps
        self._pending: list[tuple[int, int, bytes]] = []  # first step, end and pushes, in order

    def go_on_from(self, step: int) -> None:
        """Remove what was recorded after a step, and record from there on. Raises OSError."""
        self._remove_after(step)
        self._durable = self._newest = step
        self._pending = []

    def add(self, step: int, arrivals: bytes) -> None:
        """Add the pushes from the last snapshot up to the snapshot of a step; none if these steps were synchronous."""
        if step > self._newest:
            if arrivals:
                self._pending.append((self._newest, step, arrivals))
            self._newest = step

    def sync(self, step: int) -> None:
        """Make the record up to a step durable. After an OSError a later call makes the same pushes durable."""
        due = [part for part in self._pending if part[1] <= step]
        if due:
            self._disk.make_folder(self._folder)
            remove_leftovers(self._folder, self._disk)
            self._remove_after(self._durable)  # by an attempt that failed when the file had its name
            for begin, end, content in _joined(due):
                write_durably(self._folder / f"{begin:012d}-{end:012d}", content, self._disk)
        self._pending = self._pending[len(due) :]
        self._durable = max(self._durable, step)

    def _remove_after(self, step: int) -> None:
        for _, end, path in _files(self._folder, self._disk):
            if end > step:
                self._disk.remove(path)


def read_order(directory: Path, disk: Disk = LOCAL) -> list[Part]:
    """Return first step, end and pushes of each part of a job's record, in order.

    Raises ValueError if a file of the record is cut, OSError if it cannot be read.
    """
    parts = []
    for begin, end, path in sorted(_files(directory / FOLDER, disk)):
        file = disk.open_plain(path)
        if file is None:
            raise ValueError(f"{path.name} is not a plain file")
        with file:
            try:
                parts.append((begin, end, unpack(file.read(LIMIT))))
            except ValueError:
                raise ValueError(f"{path.name} is cut: its size is no multiple of 16 bytes") from None
    return parts


def _joined(parts: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return parts of a record with those joined between which no step lies."""
    joined: list[tuple[int, int, bytes]] = []
    for part in parts:
        if joined and joined[-1][1] == part[0]:
            begin, _, content = joined.pop()
            joined.append((begin, part[1], content + part[2]))
        else:
            joined.append(part)
    return joined


def _files(folder: Path, disk: Disk) -> Iterator[tuple[int, int, Path]]:
    """Yield first step, end and path of each file of a record."""
    try:
        names = disk.names(folder)
    except FileNotFoundError:
        return
    for name in names:
        if match := _NAME.fullmatch(name):
            yield int(match[1]), int(match[2]), folder / name
