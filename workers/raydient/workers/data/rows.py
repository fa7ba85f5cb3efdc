"""Collects the rows of a table's numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.steps.files import mapped

from .limits import Budget

Block = NDArray[Any]

_BLOCK_BYTES = 2**25
"""Maximum bytes of memory that are allocated before rows need them, unless their number is known."""
_COPIED_ROWS = 2**14
"""Rows that are copied from file to file at a time."""


class Rows:
    """Rows of numbers, collected block by block: in memory, or in a file if the budget does not allow that.

    Args:
        shape: of one row.
        dtype: of the numbers.
        budget: limit on the memory.

    Attributes:
        row_bytes: bytes of one row.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, budget: Budget) -> None:
        self._shape, self._dtype, self._budget = shape, np.dtype(dtype), budget
        self.row_bytes = prod(shape) * self._dtype.itemsize
        self._blocks: list[Block] = []  # the rows in memory
        self._free = 0  # rows at the end of the last block that are not in use
        self._file: IO[bytes] | None = None

    def expect(self, rows: int) -> None:
        """Allocate memory for this number of rows, if there is room. Fewer or more may come."""
        if self._budget.fits(rows * self.row_bytes):
            self._allocate(rows)

    @contextmanager
    def room(self, rows: int) -> Iterator[Block]:
        """Yield the array of the next rows, (rows, *shape), C-contiguous, which the caller fills.

        Raises:
            InvalidSpec: neither memory nor the folder of files has room.
        """
        if self._file is None and self._budget.takes(rows * self.row_bytes):
            if self._free < rows:  # as much as there is already, up to a limit, so that there are few blocks
                self._allocate(max(rows, min(sum(map(len, self._blocks)), _BLOCK_BYTES // self.row_bytes)))
            start = len(self._blocks[-1]) - self._free
            self._free -= rows
            yield self._blocks[-1][start : start + rows]
        else:
            block = np.empty((rows, *self._shape), self._dtype)
            yield block
            self._write(block)

    def add(self, block: Block) -> None:
        """Add rows, (n, *shape), C-contiguous. Raises what `room` raises."""
        with self.room(len(block)) as room:
            room[...] = block

    def _allocate(self, rows: int) -> None:
        self._trim()
        self._blocks.append(np.empty((rows, *self._shape), self._dtype))
        self._free = rows

    def _trim(self) -> None:
        """End the last block where its rows end; the memory behind them has never been touched."""
        if self._free:
            self._blocks[-1] = self._blocks[-1][: -self._free]
            self._free = 0

    def _write(self, block: Block) -> None:
        with self._budget.refusing_full():
            if self._file is None:
                self._file = TemporaryFile(dir=self._budget.folder)  # noqa: SIM115  (closed by `whole`)
                self._trim()
                for earlier in self._blocks:
                    self._file.write(earlier.data)
                self._budget.spent -= sum(earlier.nbytes for earlier in self._blocks)
                self._blocks.clear()
            self._file.write(block.data)

    def extend(self, other: "Rows") -> None:
        """Add all rows of another collection with the same budget, which must not be used any more."""
        other._trim()
        blocks, other._blocks = other._blocks, []
        if other._file is not None:
            whole = other.whole()
            blocks = [whole[start : start + _COPIED_ROWS] for start in range(0, len(whole), _COPIED_ROWS)]
        elif self._file is None:
            self._trim()
            self._blocks += blocks
            return
        else:
            self._budget.spent -= sum(block.nbytes for block in blocks)
        for block in blocks:
            self.add(block)

    def whole(self) -> Block:
        """Return all rows, (n, *shape). The collection must not be used any more."""
        if self._file is not None:
            with self._budget.refusing_full(), self._file as file:
                file.flush()
                return mapped(file, (file.tell() // self.row_bytes, *self._shape), self._dtype)
        self._trim()
        if len(self._blocks) == 1:
            return self._blocks.pop()
        whole = np.empty((sum(map(len, self._blocks)), *self._shape), self._dtype)
        stop = len(whole)
        while self._blocks:  # each block is released after it is copied
            block = self._blocks.pop()
            whole[stop - len(block) : stop] = block
            stop -= len(block)
        return whole
