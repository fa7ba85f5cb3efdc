"""The gradient of a step: one buffer, whose parts are dense or row-sparse.

The buffer holds a value for each weight, in the order of the weight vector, then a count for each unit with a
rectifier, then the index of each row-sparse part. The place of a row-sparse part has its rows in use at the beginning.
The buffer may lie in memory that two processes share.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .arrays import AnyArray, Floats, Vector, aligned_zeros
from .layout import Layout
from .sparse import GradientError, RowSparse, split


class Part(Protocol):
    """The gradient by one parameter or by neighbours in the vector. No method allocates memory except for rows in use.

    Attributes:
        values: an array of the parameter's shape; a view. Of a dense part it is the gradient, of a row-sparse one the
            room for its rows.
    """

    @property
    def values(self) -> Floats: ...

    def dense(self) -> Floats:
        """Return the gradient as a whole array, a view if there is one."""

    def clear(self) -> None:
        """Set the gradient to zero."""

    def write(self, numbers: NDArray[np.integer], rows: AnyArray) -> None:
        """Replace the gradient by these rows, (numbers, ...), and zeros elsewhere. The numbers ascend, each once."""

    def add(self, other: Any) -> None:
        """Add another part of the same kind and shape, element by element."""

    @property
    def packed_size(self) -> int:
        """Number of values that `pack` yields."""

    def pack(self) -> Iterator[AnyArray]:
        """Yield the arrays, of four bytes a value, from which `unpack` restores the gradient."""

    def unpack(self, packed: Vector) -> Vector:
        """Replace the gradient by the one at the beginning of `packed`; return the rest. Raises GradientError."""

    def check(self) -> None:
        """Raise GradientError if no sender can have computed this gradient."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A part of which every value is stored, added and sent."""

    values: Floats

    def dense(self) -> Floats:
        return self.values

    def clear(self) -> None:
        self.values.fill(0)

    def write(self, numbers: NDArray[np.integer], rows: AnyArray) -> None:
        self.clear()
        self.values[numbers] = rows

    def add(self, other: Part) -> None:
        np.add(self.values, other.dense(), out=self.values)

    @property
    def packed_size(self) -> int:
        return self.values.size

    def pack(self) -> Iterator[AnyArray]:
        yield self.values

    def unpack(self, packed: Vector) -> Vector:
        values, rest = split(packed, self.values.size)
        self.values[...] = values.reshape(self.values.shape)
        return rest

    def check(self) -> None:
        """Accept any values; the parameter server ends training if one is not finite."""


@dataclass(frozen=True, slots=True)
class Table:
    """The place of a parameter with a row-sparse gradient, (rows, width), that begins at value `offset` of a vector."""

    offset: int
    rows: int
    width: int

    @property
    def stop(self) -> int:
        """Index of the first value behind the table."""
        return self.offset + self.rows * self.width

    def values(self, vector: Vector) -> Vector:
        """Return the table inside a flat vector, (rows, width); a view."""
        return vector[self.offset : self.stop].reshape(self.rows, self.width)


def whole_of(tables: Sequence[Table], place: int) -> Table:
    """Return the table that has the value at `place` of the vector."""
    return next(table for table in tables if table.offset <= place < table.stop)


def between(tables: Sequence[Table], start: int, stop: int) -> Iterator[slice]:
    """Yield the parts of `start`..`stop` - 1 that lie outside these tables, which are in the order of the vector."""
    for table in tables:
        if start < min(table.offset, stop):
            yield slice(start, min(table.offset, stop))
        start = max(start, table.stop)
    if start < stop:
        yield slice(start, stop)


@dataclass(frozen=True, slots=True)
class GradientLayout:
    """The arrangement of the parts of a gradient in its buffer.

    Attributes:
        size: number of weights.
        units: number of units with a rectifier.
        tables: parameters with a row-sparse gradient, in the order of the vector.
    """

    size: int
    units: int = 0
    tables: tuple[Table, ...] = ()

    @classmethod
    def of(cls, layout: Layout, units: int = 0) -> "GradientLayout":
        """Lay out the gradient by the parameters of `layout`."""
        return cls(layout.size, units, tuple(Table(p.offset, *p.shape) for p in layout.parameters if p.sparse))

    def within(self, start: int, stop: int) -> "GradientLayout":
        """Return the layout of the gradient by weights `start`..`stop` - 1; a table is cut between rows.

        The counts of active units belong to the first weights.
        """
        tables = []
        for table in self.tables:
            first, last = max(table.offset, start), min(table.stop, stop)
            if first < last:
                tables.append(Table(first - start, (last - first) // table.width, table.width))
        return GradientLayout(stop - start, 0 if start else self.units, tuple(tables))

    @property
    def buffer_size(self) -> int:
        """Values of the buffer; also those of a packed gradient with every row of every table in use."""
        return self.size + self.units + sum(1 + table.rows for table in self.tables)

    @property
    def least_packed_size(self) -> int:
        """Values of a packed gradient with no row of any table in use."""
        return self.buffer_size - sum(table.rows * (1 + table.width) for table in self.tables)

    def zeros(self) -> "Gradient":
        """Allocate a gradient, private to this process."""
        return Gradient(self, aligned_zeros((self.buffer_size,), "<f4"))


class Gradient:
    """A gradient in a buffer of `layout.buffer_size` values. Its views are made once, so filling it allocates nothing.

    Attributes:
        layout: its layout.
        vector: (size,), the value for each weight; inside a table, the rows in use from its beginning on.
        active: (units,), number of leaves of the node in which the unit was nonzero for at least one sample. Meaningful
            in rounds in which health is measured.
        tables: the row-sparse parts, by the index of their first value in the vector.
    """

    def __init__(self, layout: GradientLayout, buffer: Vector) -> None:
        counted = layout.size + layout.units
        tables, place, vector = [], counted, buffer[: layout.size]
        for table in layout.tables:
            index = buffer[place : place + 1 + table.rows].view("<i4")
            tables.append(RowSparse(table.values(vector), index))
            place += 1 + table.rows
        self._arrange(layout, vector, buffer[layout.size : counted], tables)

    def _arrange(self, layout: GradientLayout, vector: Vector, active: Vector, tables: Sequence[RowSparse]) -> None:
        self.layout, self.vector, self.active = layout, vector, active
        offsets = (table.offset for table in layout.tables)
        self.tables: Mapping[int, RowSparse] = dict(zip(offsets, tables, strict=True))
        dense = [Dense(vector[where]) for where in between(layout.tables, 0, layout.size)]
        self._parts: tuple[Part, ...] = (*dense, *tables)
        self._counted: tuple[Part, ...] = (*dense, Dense(active), *tables)

    def within(self, start: int, layout: GradientLayout) -> "Gradient":
        """Return the gradient by the weights from `start` on, laid out as `GradientLayout.within` returns.

        Values are views, except `vector` inside a table, which has no meaning; the index of a table is a copy of its
        part as it is now.
        """
        if layout == self.layout:
            return self
        tables = []
        for table in layout.tables:
            whole = whole_of(self.layout.tables, start + table.offset)
            first = (start + table.offset - whole.offset) // table.width
            tables.append(self.tables[whole.offset].within(first, first + table.rows))
        part = Gradient.__new__(Gradient)
        part._arrange(layout, self.vector[start : start + layout.size], self.active[: layout.units], tables)
        return part

    def dense(self) -> Vector:
        """Return the value for each weight, (size,), a copy if there are tables."""
        if not self.tables:
            return self.vector
        vector = self.vector.copy()
        for table in self.layout.tables:
            table.values(vector)[...] = self.tables[table.offset].dense()
        return vector

    def parts(self, layout: Layout) -> dict[str, Part]:
        """Return the gradient by each parameter, by name and shaped like it; `layout` is that of the weights."""
        return {p.name: self.tables.get(p.offset) or Dense(p.view(self.vector)) for p in layout.parameters}

    def add(self, other: "Gradient", *, counts: bool) -> None:
        """Add another gradient, element by element; `counts`: the counts of active units too."""
        parts, added = (self._counted, other._counted) if counts else (self._parts, other._parts)
        for part, addend in zip(parts, added, strict=True):
            part.add(addend)

    def add_within(self, start: int, stop: int, other: "Gradient") -> None:
        """Add the part by weights `start`..`stop` - 1 of another gradient; neither has tables."""
        part = self.vector[start:stop]
        np.add(part, other.vector[start:stop], out=part)

    @property
    def packed_size(self) -> int:
        """Number of values that `pack` yields."""
        return sum(part.packed_size for part in self._counted)

    def pack(self) -> Iterator[AnyArray]:
        """Yield the arrays, of four bytes a value, from which `unpack` restores the gradient; views.

        A gradient without tables is packed like its buffer.
        """
        for part in self._counted:
            yield from part.pack()

    def unpack(self, packed: Vector) -> None:
        """Replace the gradient by a packed one. Raises GradientError if `packed` is not a packed gradient."""
        for part in self._counted:
            packed = part.unpack(packed)
        if len(packed):
            raise GradientError("a gradient with surplus values after its rows in use")

    def check(self) -> None:
        """Raise GradientError if no sender can have computed this gradient."""
        for part in self._parts:
            part.check()
