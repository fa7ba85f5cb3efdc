"""Collects the rows of a table's numbers."""

from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import NDArray

from raydient.steps.files import mapped

from .limits import Budget

Block = NDArray[np.float64]

_COPIED_ROWS = 2**14
"""Rows that are copied from file to file at a time."""


class Rows:
    """Rows of numbers, collected block by block: in memory, or in a file if the budget does not allow that."""

    def __init__(self, width: int, budget: Budget) -> None:
        self._width, self._budget = width, budget
        self._blocks: list[Block] = []
        self._file: IO[bytes] | None = None

    def add(self, block: Block) -> None:
        """Add rows, (n, width), C-contiguous, which the caller does not use any more.

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
        """Return all rows, (n, width). The collection must not be used any more."""
        if self._file is not None:
            with self._budget.refusing_full(), self._file as file:
                file.flush()
                return mapped(file, (file.tell() // (8 * self._width), self._width), np.float64)
        whole = np.empty((sum(map(len, self._blocks)), self._width))
        stop = len(whole)
        while self._blocks:  # each block is released after it is copied
            block = self._blocks.pop()
            whole[stop - len(block) : stop] = block
            stop -= len(block)
        return whole
