"""The record of a job's epochs: an append-only file, with the newest epochs also in memory.

    17 9c1185a5 {"step":68,"seconds":0.03,"metrics":{"train":{"loss":0.4}}}

A line is the number of the epoch, the CRC-32 of number and JSON, and the JSON. A torn or damaged line loses only its
own epoch.
"""

import json
import logging
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from raydient.files import LOCAL, Disk

from .reports import EpochEnded

HISTORY_FILE = "history.log"
BLOCK = 256
"""Number of epochs written together, and of lines between two entries of the index."""
RECENT = 1024
"""Number of the newest epochs kept in memory."""
UNWRITTEN = 16 * BLOCK
"""Maximum number of epochs in memory while the file cannot be written; older ones are then lost from the record."""
TAIL_BYTES = 1 << 16
"""Bytes at the end of a record that may not be durable when it is opened, because an earlier process could not sync."""

_log = logging.getLogger(__name__)


class History:
    """Epochs in ascending order of their numbers. Not thread-safe.

    Memory is bounded by `RECENT` epochs (`UNWRITTEN` on a full disk) and an index entry for each `BLOCK` of older ones.

    Attributes:
        last: number of the newest epoch; 0 if there is none.
        damaged: lines of the file that could not be read when it was opened.
    """

    def __init__(self, path: Path, before_writing: Callable[[], None] = lambda: None, disk: Disk = LOCAL) -> None:
        """Open the record at `path`, or create it. Raises OSError.

        `before_writing` is called before each write and may raise.
        """
        disk.make_folder(path.parent)
        self.last = self.damaged = 0
        self._before_writing = before_writing
        self._disk, self._folder = disk, path.parent
        self._named = False  # the name of the file is durable
        self._file = disk.open_record(path)
        self._size = 0  # bytes up to the end of the last whole line
        self._index: list[tuple[int, int]] = []  # number of an epoch and the offset of its line
        self._unindexed = BLOCK  # lines since the last entry of the index
        self._recent: deque[EpochEnded] = deque()
        self._unwritten = 0  # number of epochs at the end of `_recent` that are not in the file
        with self._lines(0) as lines:
            begin = 0
            for line in lines:
                number, end = _number(line), begin + len(line)
                if number > self.last:
                    self._note(number, begin)
                    self.last, self._size = number, end
                else:
                    self.damaged += line.endswith(b"\n")
                begin = end
        self._file.truncate(self._size)
        self._durable = max(0, self._size - TAIL_BYTES)  # bytes up to the end of the last sync
        self._doubtful = True  # a sync since then may have failed

    def append(self, epoch: EpochEnded) -> None:
        """Add an epoch; ignored if its number is not above `last`."""
        if epoch.epoch <= self.last:
            return
        self.last = epoch.epoch
        self._recent.append(epoch)
        self._unwritten += 1
        if self._unwritten % BLOCK == 0:
            try:
                self._write()
            except OSError as error:
                _log.warning("the record of epochs cannot be written: %s", error)
        self._unwritten = min(self._unwritten, UNWRITTEN)
        while len(self._recent) > max(RECENT, self._unwritten):
            self._recent.popleft()

    def go_on_from(self, epoch: int) -> None:
        """Remove the epochs after this one, if there are any. Raises OSError."""
        if epoch >= self.last:
            return
        while self._recent and self._recent[-1].epoch > epoch:
            self._recent.pop()
            self._unwritten = max(0, self._unwritten - 1)
        self._cut(epoch)
        self.last = epoch

    def read(self, after: int, limit: int) -> list[EpochEnded]:
        """Return at most `limit` epochs with a number above `after`, the oldest first."""
        epochs: list[EpochEnded] = []
        oldest = self._recent[0].epoch if self._recent else self.last + 1
        if after + 1 < oldest:
            epochs += self._read_file(after, min(limit, oldest - after))
        after = max(after, epochs[-1].epoch if epochs else 0)
        epochs += [epoch for epoch in self._recent if epoch.epoch > after][: limit - len(epochs)]
        return epochs

    def newest(self) -> EpochEnded | None:
        """Return the last epoch; None if there is none."""
        return self.read(self.last - 1, 1)[0] if self.last else None

    def sync(self) -> None:
        """Make the record durable. After an OSError a later call makes the same epochs durable."""
        self._write()
        if self._doubtful:
            self._write_again()
        self._doubtful = True
        self._disk.sync(self._file)
        self._doubtful, self._durable = False, self._size
        if not self._named:
            self._disk.sync_folder(self._folder)
            self._named = True

    def close(self) -> None:
        """Write the epochs that are not in the file, if possible, and close it. Harmless when repeated."""
        if self._file.closed:
            return
        try:
            self._write()
        except OSError as error:
            _log.warning("the record of epochs cannot be written: %s", error)
        self._file.close()

    def _write(self) -> None:
        lines = [(epoch.epoch, _line(epoch)) for epoch in list(self._recent)[len(self._recent) - self._unwritten :]]
        if not lines:
            return
        self._before_writing()
        # A retry after an error overwrites from the same offset, so no torn line remains.
        self._write_at(self._size, b"".join(line for _, line in lines))
        for number, line in lines:
            self._note(number, self._size)
            self._size += len(line)
        self._unwritten = 0

    def _write_again(self) -> None:
        """Write the bytes since the last sync again: when a sync fails, Linux counts them as written."""
        self._before_writing()
        for offset in range(self._durable, self._size, TAIL_BYTES):
            self._file.seek(offset)
            self._write_at(offset, self._file.read(min(TAIL_BYTES, self._size - offset)) or b"")

    def _write_at(self, offset: int, content: bytes) -> None:
        data, done = memoryview(content), 0
        while done < len(data):
            self._file.seek(offset + done)
            done += self._file.write(data[done:]) or 0

    def _cut(self, epoch: int) -> None:
        """Remove the lines of epochs after this one from the file."""
        place = bisect_right(self._index, (epoch, self._size))
        del self._index[place:]
        end, self._unindexed = self._index[-1][1] if self._index else 0, 0 if self._index else BLOCK
        with self._lines(end) as lines:
            for line in lines:
                if end >= self._size or (number := _number(line)) > epoch:
                    break
                end += len(line)
                self._unindexed += number > 0
        if end < self._size:
            self._before_writing()
            self._file.truncate(end)
            self._size, self._durable = end, min(self._durable, end)
            self._doubtful = True

    def _note(self, number: int, begin: int) -> None:
        self._unindexed += 1
        if self._unindexed > BLOCK:
            self._index.append((number, begin))
            self._unindexed = 1

    def _read_file(self, after: int, limit: int) -> list[EpochEnded]:
        after = max(after, 0)  # the number of a damaged line is 0
        place = bisect_right(self._index, (after + 1, self._size)) - 1
        epochs: list[EpochEnded] = []
        with self._lines(self._index[max(place, 0)][1] if self._index else 0) as lines:
            for line in lines:
                number = _number(line)
                if number > after:
                    epochs.append(_epoch(number, line))
                    after = number
                if len(epochs) == limit:
                    break
        return epochs

    @contextmanager
    def _lines(self, begin: int) -> Iterator[Iterable[bytes]]:
        """Open the lines of the file from an offset on."""
        self._file.seek(begin)
        lines = BufferedReader(self._file)
        try:
            yield lines
        finally:
            lines.detach()


def read_history(path: Path) -> Iterator[EpochEnded]:
    """Yield the epochs of the record at `path` without changing it; none if the file is absent. Raises OSError."""
    if not path.exists():
        return
    last = 0
    with path.open("rb") as lines:
        for line in lines:
            number = _number(line)
            if number > last:
                yield _epoch(number, line)
                last = number


def _line(epoch: EpochEnded) -> bytes:
    fields = {"step": epoch.step, "seconds": epoch.seconds, "metrics": epoch.metrics}
    number, text = b"%d" % epoch.epoch, json.dumps(fields, separators=(",", ":")).encode()
    return b"%s %08x %s\n" % (number, _checksum(number, text), text)


def _number(line: bytes) -> int:
    """Return the number of the epoch of a line; 0 if the line is damaged."""
    parts = line.rstrip(b"\n").split(b" ", 2)
    if len(parts) != 3 or not line.endswith(b"\n"):
        return 0
    number, checksum, text = parts
    return int(number) if checksum == b"%08x" % _checksum(number, text) else 0


def _epoch(number: int, line: bytes) -> EpochEnded:
    return EpochEnded(number, **json.loads(line.split(b" ", 2)[2]))


def _checksum(number: bytes, text: bytes) -> int:
    return zlib.crc32(text, zlib.crc32(number))
