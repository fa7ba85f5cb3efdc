"""Blocks of rows, for results that are as large as the data."""

from collections.abc import Iterator, Sequence
from math import prod

BLOCK_VALUES = 2**20
"""Values that are copied or computed at a time."""


def blocks(rows: int, shape: Sequence[int]) -> Iterator[slice]:
    """Yield slices that divide some rows, each of a sample of this shape, in blocks that stay small."""
    step = max(1, BLOCK_VALUES // max(1, prod(shape)))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
