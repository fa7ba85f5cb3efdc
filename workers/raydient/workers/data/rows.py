"""Collects the rows of a table's numbers."""

from math import prod
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.steps.files import mapped

from .limits import Budget

Block = NDArray[Any]

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
        self._blocks: list[Block] = []
        self._file: IO[bytes] | None = None

    def add(self, block: Block) -> None:
        """Add rows, (n, *shape), C-contiguous, which the caller does not use any more.

        Raises:
            InvalidSpec: neither memory nor the folder of files has room.
        """
        if self._file is None and self._budget.takes(block.nbytes):
            self._blocks.append(block)
            return
        with self._budget.refusing_full():
            if self._file is None:
                self._file = TemporaryFile(dir=self._budget.folder)  # noqa: SIM115  (closed by `whole`)
                for earlier in self._blocks:
                    self._file.write(earlier.data)
                self._budget.spent -= sum(earlier.nbytes for earlier in self._blocks)
                self._blocks.clear()
            self._file.write(block.data)

    def extend(self, other: "Rows") -> None:
        """Add all rows of another collection with the same budget, which must not be used any more."""
        blocks, other._blocks = other._blocks, []
        if other._file is not None:
            whole = other.whole()
            blocks = [whole[start : start + _COPIED_ROWS] for start in range(0, len(whole), _COPIED_ROWS)]
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
        whole = np.empty((sum(map(len, self._blocks)), *self._shape), self._dtype)
        stop = len(whole)
        while self._blocks:  # each block is released after it is copied
            block = self._blocks.pop()
            whole[stop - len(block) : stop] = block
            stop -= len(block)
        return whole
