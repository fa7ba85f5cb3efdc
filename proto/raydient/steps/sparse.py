"""Gradients of tables: zero but for the rows in use, whose numbers are kept beside them.

A slot is a gradient like any other, with zeros in the rows that are not in use. Behind everything else it has an
account for each table: how many rows are in use, and which. Whoever goes by the accounts computes with rows in use
alone and comes to the same bits, because 0 + 0 = 0; whoever knows nothing of them sees a gradient.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import Layout

Numbers = NDArray[np.int32]
"""Of rows: ascending, each once."""

FEW = 32
"""Rows for one in use, from which on these are few: to gather and scatter them takes less time than to pass over the
whole table, which the processor does in one sweep. Measured for rows of 8 and of 64 values."""


BLOCK = 1 << 15
"""Values of rows that are gathered at a time: 128 KiB. The memory for one block is still in the cache for the next; for
larger ones it is the operating system's each time, which takes three times as long."""


class GradientError(ValueError):
    """A packed gradient that no sender can have made."""


def union(numbers: Sequence[Numbers]) -> Numbers:
    """Those in any of them."""
    merged = np.concatenate(numbers)
    merged.sort(kind="stable")  # which finds that it consists of sorted runs, and merges them
    first = np.ones(len(merged), np.bool_)
    np.not_equal(merged[1:], merged[:-1], out=first[1:])
    return merged[first]


def blocks(numbers: Numbers, width: int) -> Iterator[Numbers]:
    """The numbers of rows of so many values, piece by piece, about BLOCK values each."""
    step = max(1, BLOCK // width)
    for start in range(0, len(numbers), step):
        yield numbers[start : start + step]


@dataclass(frozen=True, slots=True)
class RowSparse:
    """A gradient that is zero but for the rows in use.

    Attributes:
        values: (rows, width).
        account: (1 + rows,), how many rows are in use and then their numbers; what is behind has no meaning.
    """

    values: NDArray[Any]
    account: Numbers

    @property
    def used(self) -> Numbers:
        """The rows in use."""
        return self.account[1 : 1 + int(self.account[0])]

    def are_few(self, numbers: Numbers) -> bool:
        """True if these are so few of the rows that it pays to single them out."""
        return len(numbers) * FEW <= len(self.values)

    def clear(self) -> None:
        """From here on no row is in use."""
        used = self.used
        if self.are_few(used):
            self.values[used] = 0
        else:
            self.values.fill(0)
        self.account[0] = 0

    def write(self, numbers: NDArray[np.integer], rows: NDArray[Any]) -> None:
        """From here on these rows, (numbers, width), are in use and no others."""
        self.clear()
        self.values[numbers] = rows
        self._use(numbers)

    def add(self, other: "RowSparse") -> None:
        """Add another one, element by element."""
        both = union((self.used, other.used))
        if self.are_few(both):
            for numbers in blocks(both, self.values.shape[1]):
                # Rows that only one of them uses, too: -0.0 + 0.0 is 0.0.
                self.values[numbers] = self.values.take(numbers, axis=0) + other.values.take(numbers, axis=0)
        else:
            np.add(self.values, other.values, out=self.values)
        self._use(both)

    def _use(self, numbers: NDArray[np.integer]) -> None:
        self.account[0] = len(numbers)
        self.account[1 : 1 + len(numbers)] = numbers


@dataclass(frozen=True, slots=True)
class Table:
    """Where a table lies in the flat vector and its account in a slot.

    Attributes:
        offset: index of its first value.
        rows, width: its shape.
        account: index of the account.
    """

    offset: int
    rows: int
    width: int
    account: int

    @property
    def stop(self) -> int:
        """Index of the first value behind the table."""
        return self.offset + self.rows * self.width

    def values(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The table inside a flat vector, (rows, width); a view."""
        return vector[self.offset : self.stop].reshape(self.rows, self.width)

    def of(self, slot: NDArray[np.float32]) -> RowSparse:
        """The gradient by the table inside a slot; views."""
        account = slot[self.account : self.account + 1 + self.rows].view("<i4")
        return RowSparse(self.values(slot), account)

    def check(self, numbers: Numbers) -> None:
        """GradientError unless these can be rows of the table that are in use."""
        inside = not len(numbers) or (numbers[0] >= 0 and numbers[-1] < self.rows)
        if not (inside and (numbers[1:] > numbers[:-1]).all()):
            raise GradientError(f"rows in use that a table of {self.rows} rows cannot have")


def tables_of(layout: Layout, account: int) -> tuple[Table, ...]:
    """The tables of a layout, their accounts one behind the other from index `account` of a slot on."""
    tables = []
    for parameter in layout.parameters:
        if parameter.sparse:
            rows, width = parameter.shape
            tables.append(Table(parameter.offset, rows, width, account))
            account += 1 + rows
    return tuple(tables)


def between(tables: Sequence[Table], start: int, stop: int) -> Iterator[slice]:
    """What is left of the stretch `start`..`stop` - 1 without these tables, which are in the order of the vector."""
    for table in tables:
        if start < min(table.offset, stop):
            yield slice(start, min(table.offset, stop))
        start = max(start, table.stop)
    if start < stop:
        yield slice(start, stop)


def add(tables: Sequence[Table], into: NDArray[np.float32], other: NDArray[np.float32], size: int) -> None:
    """Add a slot to another one: the first `size` values, of the tables the rows in use."""
    for where in between(tables, 0, size):
        into[where] += other[where]
    for table in tables:
        table.of(into).add(table.of(other))


def packed_size(tables: Sequence[Table], slot: NDArray[np.float32], size: int) -> int:
    """Values of `pack`."""
    dense = size - sum(table.rows * table.width for table in tables)
    return dense + sum(1 + len(table.of(slot).used) * (1 + table.width) for table in tables)


def pack(tables: Sequence[Table], slot: NDArray[np.float32], size: int) -> Iterator[NDArray[Any]]:
    """What is to be told of a slot, piece by piece, four bytes a value.

    Of its first `size` values all but the tables; then for each table the number of rows in use, theirs, and the rows.
    """
    for where in between(tables, 0, size):
        yield slot[where]
    for table in tables:
        sparse = table.of(slot)
        used = sparse.used
        yield sparse.account[: 1 + len(used)]
        yield sparse.values.take(used, axis=0)


def unpack(tables: Sequence[Table], packed: NDArray[np.float32], slot: NDArray[np.float32], size: int) -> None:
    """Make a slot what another was when it was packed; GradientError if nothing can have been packed so."""
    place = 0

    def take(count: int) -> NDArray[np.float32]:
        nonlocal place
        place += count
        if count < 0 or place > len(packed):
            raise GradientError("a gradient whose rows in use are cut off")
        return packed[place - count : place]

    for where in between(tables, 0, size):
        slot[where] = take(where.stop - where.start)
    for table in tables:
        count = int(take(1).view("<i4")[0])
        numbers = take(count).view("<i4")
        table.check(numbers)
        table.of(slot).write(numbers, take(count * table.width).reshape(count, table.width))
    if place < len(packed):
        raise GradientError("a gradient with something behind its rows in use")
