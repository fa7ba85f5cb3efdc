"""Cuts a CSV file into blocks of whole rows, so that Arrow can parse the parts of each block in parallel."""

from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BLOCK_BYTES = 2**23
"""Bytes that are read at a time."""

_QUOTE, _NEWLINES = ord('"'), (ord("\n"), ord("\r"))


class Blocks:
    """Blocks of whole rows of a file.

    Attributes:
        rest: bytes that were read and are not part of a block so far; at first none.
    """

    def __init__(self, file: IO[bytes] | pa.NativeFile, delimiter: str) -> None:
        """Read `file` from where it is, which is the beginning of a row."""
        self._file, self._delimiter = file, ord(delimiter)
        self.rest = b""

    def __iter__(self) -> Iterator[tuple[memoryview, bool]]:
        """Yield each block, and True if a line break in it may be part of a value.

        Iteration ends before a block whose end is not certain, because it has no line break or quotes within values;
        then `rest` is not empty.
        """
        while True:
            if not (read := self._file.read(BLOCK_BYTES)):
                return
            block = self.rest = self.rest + read
            quotes = np.flatnonzero(np.frombuffer(block, np.uint8) == _QUOTE) if b'"' in block else None
            end = block.rfind(b"\n") + 1 if quotes is None else self._end(block, quotes)
            if not end:
                return
            self.rest = block[end:]
            yield memoryview(block)[:end], quotes is not None

    def _end(self, block: bytes, quotes: NDArray[np.int64]) -> int:
        """Return where the last whole row of a block with quotes ends; 0 if that is not certain.

        If each quote of an even number (from 0) follows a separator or another quote, and each of an odd number comes
        before one, these begin and end quoted values (RFC 4180), and line breaks with an even number of quotes before
        them end rows. A pair of quotes within a value ends and begins it once more, which counts the same.
        """
        characters = np.frombuffer(block, np.uint8)
        separates = np.zeros(256, np.bool_)
        separates[[self._delimiter, *_NEWLINES, _QUOTE]] = True
        opening, closing = quotes[::2], quotes[1::2]
        before = characters[opening[opening > 0] - 1]
        after = characters[closing[closing + 1 < len(block)] + 1]
        if not (separates[before].all() and separates[after].all()):
            return 0
        stop = len(block) if len(quotes) % 2 == 0 else int(quotes[-1])
        for opened, closed in zip(reversed(opening[: len(closing)]), reversed(closing), strict=True):
            if end := block.rfind(b"\n", int(closed) + 1, stop) + 1:
                return end
            stop = int(opened)
        return block.rfind(b"\n", 0, stop) + 1
