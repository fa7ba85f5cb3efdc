"""The arrays of an optimizer, and the part of them that belongs to a part of the weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raydient.steps.arrays import Floats, Vector
from raydient.steps.gradient import Table


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the weights with its state.

    Attributes:
        start, stop: half-open range of weights.
        shape: that of the part's weights: (rows, width) where each row has one value of state, else (values,).
        state: the optimizer's arrays, of the same shape or (rows, 1); views.
    """

    start: int
    stop: int
    shape: tuple[int, ...]
    state: Sequence[Floats]


class State:
    """The arrays of an optimizer for one vector of weights.

    The arrays of a `RowwiseOptimizer` have one value for each row of a table, in the order of the weights, as
    `Layout.by_rows` lays them out; all others are as long as the weights.
    """

    def __init__(self, arrays: Sequence[Vector], tables: Sequence[Table] = ()) -> None:
        """`tables` are those that have one value for each row in `arrays`, in order."""
        self._arrays, self._tables = arrays, tables

    def parts(self, start: int, stop: int) -> Iterator[Part]:
        """Yield the parts of weights `start`..`stop` - 1, which have whole rows of `tables`, in order."""
        for table in self._tables:
            first, last = max(table.offset, start), min(table.stop, stop)
            if first >= last:
                continue
            if start < first:
                yield self._flat(start, first)
            yield self._rows(first, last, table.width)
            start = last
        if start < stop:
            yield self._flat(start, stop)

    def of(self, table: Table) -> list[Floats]:
        """Return the state of a table, (rows, width) or (rows, 1); views."""
        if table in self._tables:
            return list(self._rows(table.offset, table.stop, table.width).state)
        return [table.values(array) for array in self._arrays]

    def _flat(self, start: int, stop: int) -> Part:
        place = self._place(start)
        return Part(start, stop, (stop - start,), [array[place : place + stop - start] for array in self._arrays])

    def _rows(self, start: int, stop: int, width: int) -> Part:
        place, rows = self._place(start), (stop - start) // width
        state = [array[place : place + rows].reshape(rows, 1) for array in self._arrays]
        return Part(start, stop, (rows, width), state)

    def _place(self, weight: int) -> int:
        """Return the index in the arrays of the value that belongs to a weight."""
        before = [(min(weight, table.stop) - table.offset, table.width) for table in self._tables]
        return weight - sum(count - count // width for count, width in before if count > 0)
