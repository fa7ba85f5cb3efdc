"""Gradients of tables: zero except in the rows that a batch uses.

A row-sparse gradient is a whole array, with zeros in the rows that are not in use, and an index of the rows in use.
Code that reads the whole array is correct; code that uses the index takes time for the rows in use alone and gives the
same bits, because 0 + 0 = 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .arrays import AnyArray, Floats, Vector

Numbers = NDArray[np.int32]
"""Row numbers, ascending and without repetition."""

FEW = 32
"""Use the index when at most 1 row in 32 is in use: gathering and scattering these rows then takes less time than one
pass over the whole table. Measured for rows of 8 and of 64 values.
"""

BLOCK = 1 << 15
"""Values of rows that are gathered at a time: 128 KiB. The memory for one block is still in the cache for the next;
larger blocks get fresh pages from the operating system each time, which takes three times as long.
"""


class GradientError(ValueError):
    """A gradient that no sender can have computed."""


def union(numbers: Sequence[Numbers]) -> Numbers:
    """Return the row numbers that occur in any of the arrays; a single array as it is."""
    if len(numbers) == 1:
        return numbers[0]
    merged = np.concatenate(numbers)
    merged.sort(kind="stable")  # detects that the array consists of sorted runs, and merges them
    first = np.ones(len(merged), np.bool_)
    np.not_equal(merged[1:], merged[:-1], out=first[1:])
    return merged[first]


def are_numbers(numbers: Numbers, rows: int) -> bool:
    """Return True if these are numbers of rows of a table of `rows` rows, ascending and without repetition."""
    inside = not len(numbers) or (numbers[0] >= 0 and numbers[-1] < rows)
    return bool(inside and (numbers[1:] > numbers[:-1]).all())


def blocks(numbers: Numbers, width: int) -> Iterator[Numbers]:
    """Cut row numbers into pieces whose rows, of `width` values, have about BLOCK values together."""
    step = max(1, BLOCK // width)
    for start in range(0, len(numbers), step):
        yield numbers[start : start + step]


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
        values: (rows, width).
        index: (1 + rows,), the number of rows in use, then their numbers; the values behind them have no meaning.
    """

    values: Floats
    index: NDArray[np.int32]

    @classmethod
    def over(cls, values: Floats) -> "RowSparse":
        """Return a gradient whose values, (rows, width), are all zero, with an index of its own."""
        return cls(values, np.zeros(1 + len(values), np.int32))

    @property
    def used(self) -> Numbers:
        """The numbers of the rows in use."""
        return self.index[1 : 1 + int(self.index[0])]

    def index_within(self, first: int, last: int) -> NDArray[np.int32]:
        """Return the index of rows `first`..`last` - 1 as a table of their own, a copy; the rows in use alone."""
        used = self.used
        begin, end = np.searchsorted(used, (first, last))
        return np.concatenate((np.array([end - begin], np.int32), used[begin:end] - np.int32(first)))

    def are_few(self, numbers: Numbers) -> bool:
        """Return True if gathering these rows takes less time than passing over the whole table."""
        return len(numbers) * FEW <= len(self.values)

    def clear(self) -> None:
        """Set the gradient to zero; no row is in use."""
        used = self.used
        if self.are_few(used):
            put(self.values, used, np.zeros((1, self.values.shape[1])))
        else:
            self.values.fill(0)
        self.index[0] = 0

    def write(self, numbers: NDArray[np.integer], rows: AnyArray) -> None:
        """Replace the gradient by these rows, (numbers, width), and zeros elsewhere."""
        self.clear()
        put(self.values, numbers, rows)
        self._use(numbers)

    def add(self, other: "RowSparse") -> None:
        """Add another gradient by the same table, element by element."""
        both = union((self.used, other.used))
        if self.are_few(both):
            for numbers in blocks(both, self.values.shape[1]):
                # Rows that only one of them uses are added too: -0.0 + 0.0 is 0.0.
                put(self.values, numbers, self.values.take(numbers, axis=0) + other.values.take(numbers, axis=0))
        else:
            np.add(self.values, other.values, out=self.values)
        self._use(both)

    @property
    def packed_size(self) -> int:
        """Number of values that `pack` yields."""
        width: int = self.values.shape[1]
        return 1 + len(self.used) * (1 + width)

    def pack(self) -> Iterator[AnyArray]:
        """Yield the number of rows in use, their numbers and the rows."""
        used = self.used
        yield self.index[: 1 + len(used)]
        yield self.values.take(used, axis=0)

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
