"""Gradients of tables: zero except in the rows that a batch uses.

A row-sparse gradient has the rows in use one after another, and an index with their numbers. Code that writes, sends or
reads it takes time for the rows in use alone, and touches memory in order. Sums have the bits of the sums of whole
tables.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import AnyArray, Floats, Vector

Numbers = NDArray[np.int32]
"""Row numbers, ascending and without repetition."""

BLOCK = 1 << 15
"""Values of rows that are added or gathered at a time: 128 KiB. The memory for one block is still in the cache for the
next; larger blocks get fresh pages from the operating system each time, which takes three times as long.
"""


class GradientError(ValueError):
    """A gradient that no sender can have computed."""


def union(numbers: Sequence[Numbers]) -> Numbers:
    """Return the row numbers that occur in any of the arrays; a single array as it is."""
    if len(numbers) == 1:
        return numbers[0]
    merged = np.concatenate(numbers)
    merged.sort(kind="stable")  # detects that the array consists of sorted runs, and merges them
    return distinct(merged)


def distinct(ascending: Numbers) -> Numbers:
    """Return sorted row numbers without repetition, a copy. With the sort it takes half the time of `np.unique`."""
    first = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return ascending[first]


def are_numbers(numbers: Numbers, rows: int) -> bool:
    """Return True if these are numbers of rows of a table of `rows` rows, ascending and without repetition."""
    inside = not len(numbers) or (numbers[0] >= 0 and numbers[-1] < rows)
    return bool(inside and (numbers[1:] > numbers[:-1]).all())


def blocks(numbers: Numbers, width: int) -> Iterator[tuple[int, Numbers]]:
    """Cut row numbers into pieces whose rows, of `width` values, have about BLOCK values together.

    Yields the place of each piece's first number, and the piece.
    """
    step = max(1, BLOCK // width)
    for start in range(0, len(numbers), step):
        yield start, numbers[start : start + step]


def put(values: Floats, numbers: NDArray[np.integer], rows: AnyArray) -> None:
    """Replace rows of `values`, (rows, width), by `rows`, (numbers, width) or (1, width) for all of them.

    A row is copied as one item: that takes two thirds of the time of an assignment value by value.
    """
    item = f"V{values.itemsize * values.shape[1]}"
    values.view(item)[:, 0][numbers] = np.ascontiguousarray(rows, values.dtype).view(item)[:, 0]


def split(packed: Vector, count: int) -> tuple[Vector, Vector]:
    """Cut a packed gradient after `count` values. GradientError if it has fewer."""
    if not 0 <= count <= len(packed):
        raise GradientError("a gradient whose rows in use are cut off")
    return packed[:count], packed[count:]


@dataclass(frozen=True, slots=True)
class RowSparse:
    """A part of a gradient that is zero except in the rows in use; see `gradient.Part`.

    Attributes:
        values: (rows, width), the rows in use from the first row on, in the order of their numbers; the values behind
            them have no meaning.
        index: (1 + rows,), the number of rows in use, then their numbers; the values behind them have no meaning.
    """

    values: Floats
    index: NDArray[np.int32]

    @classmethod
    def over(cls, values: Floats) -> "RowSparse":
        """Return a gradient that has room for its rows in `values`, (rows, width), and no row in use."""
        return cls(values, np.zeros(1 + len(values), np.int32))

    @property
    def used(self) -> Numbers:
        """The numbers of the rows in use."""
        return self.index[1 : 1 + int(self.index[0])]

    def within(self, first: int, last: int) -> "RowSparse":
        """Return the gradient by rows `first`..`last` - 1 as a table of their own.

        Its values are a view; its index is a copy of the part of the rows in use now.
        """
        used = self.used
        begin, end = np.searchsorted(used, (first, last))
        index = np.concatenate((np.array([end - begin], np.int32), used[begin:end] - np.int32(first)))
        return RowSparse(self.values[begin : begin + last - first], index)

    def rows(self, numbers: Numbers) -> Floats:
        """Return the gradient by some rows, (numbers, width); zeros for those that are not in use.

        `numbers` must have every row in use between its first and its last number. A view if all are in use, else a
        copy.
        """
        used = self.used
        if not len(numbers):
            return self.values[:0]
        # Two calls: a tuple of both would have NumPy convert all of `used` to int64.
        begin, end = used.searchsorted(numbers[0]), used.searchsorted(numbers[-1], side="right")
        rows = self.values[begin:end]
        if len(rows) == len(numbers):
            return rows
        spread_out = np.zeros((len(numbers), rows.shape[1]), rows.dtype)
        put(spread_out, np.searchsorted(numbers, used[begin:end]), rows)
        return spread_out

    def dense(self) -> Floats:
        """Return the gradient by the whole table."""
        return self.rows(np.arange(len(self.values), dtype=np.int32))

    def clear(self) -> None:
        """Set the gradient to zero; no row is in use."""
        self.index[0] = 0

    def write(self, numbers: NDArray[np.integer], rows: AnyArray) -> None:
        """Replace the gradient by these rows, (numbers, width), and zeros elsewhere."""
        self.values[: len(numbers)] = rows
        self._use(numbers)

    def add(self, other: "RowSparse") -> None:
        """Add another gradient by the same table, element by element."""
        both = union((self.used, other.used))
        # From the last rows to the first: a row moves back if at all, and must not cover one that is not added yet.
        for start, numbers in reversed(list(blocks(both, self.values.shape[1]))):
            # A row that only one of them uses is added to zeros: -0.0 + 0.0 is 0.0.
            self.values[start : start + len(numbers)] = self.rows(numbers) + other.rows(numbers)
        self._use(both)

    @property
    def packed_size(self) -> int:
        """Number of values that `pack` yields."""
        width: int = self.values.shape[1]
        return 1 + len(self.used) * (1 + width)

    def pack(self) -> Iterator[AnyArray]:
        """Yield the number of rows in use, their numbers and the rows; views."""
        used = self.used
        yield self.index[: 1 + len(used)]
        yield self.values[: len(used)]

    def unpack(self, packed: Vector) -> Vector:
        """Replace the gradient by the one at the beginning of `packed`; return the rest."""
        count, rest = split(packed, 1)
        numbers, rest = split(rest, int(count.view("<i4")[0]))
        used, width = numbers.view("<i4"), self.values.shape[1]
        self._check(used)
        rows, rest = split(rest, len(used) * width)
        self.write(used, rows.reshape(len(used), width))
        return rest

    def check(self) -> None:
        """Raise GradientError unless the rows in use can be rows of the table."""
        self._check(self.used)

    def _check(self, numbers: Numbers) -> None:
        if not are_numbers(numbers, len(self.values)):
            raise GradientError(f"rows in use that a table of {len(self.values)} rows cannot have")

    def _use(self, numbers: NDArray[np.integer]) -> None:
        self.index[0] = len(numbers)
        self.index[1 : 1 + len(numbers)] = numbers
