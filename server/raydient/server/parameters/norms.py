"""Squared norms of the gradient by parameter, from sums over fixed pieces.

The pieces are those of `ranges.pieces`, cut where a parameter ends; of a table, each row is summed by itself and added
to its piece. So neither shards nor the way in which a table is reduced change a bit of a norm.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Floats, Vector
from raydient.steps.gradient import Table
from raydient.steps.layout import Layout, Learned, Parameter
from raydient.steps.ranges import pieces
from raydient.steps.sparse import Numbers

from .health import LEAST_SQUARE


def cut(bounds: Sequence[int], parameters: Sequence[Parameter]) -> list[int]:
    """Return the bounds of the summed pieces inside pieces with these bounds."""
    return sorted({*bounds, *(parameter.stop for parameter in parameters)})


class PieceSquares:
    """The squared norms of the pieces of a vector, one gradient at a time.

    Threads may add parts of the vector at the same time if these do not overlap.

    Attributes:
        squares: of each piece, float64; not finite if a value of it is not, else 0 for what is not learned.
    """

    def __init__(self, bounds: Sequence[int], parameters: Sequence[Parameter], tables: Sequence[Table]) -> None:
        """`bounds` are those of pieces of the vector; values outside `parameters` are learned."""
        self._bounds = cut(bounds, parameters)
        self._begins = np.array(self._bounds[:-1])
        self.squares = np.zeros(len(self._begins))
        self._learned, self._by_rows = np.ones(len(self._begins)), np.zeros(len(self._begins), np.bool_)
        for parameter in parameters:
            if not isinstance(parameter.kind, Learned):
                self._learned[self._pieces(parameter.offset, parameter.stop)] = 0
        for table in tables:
            self._by_rows[self._pieces(table.offset, table.stop)] = True

    def begin(self) -> None:
        """Begin a gradient."""
        self.squares = np.zeros(len(self._begins))

    def add(self, start: int, gradient: Vector) -> None:
        """Add the part of a gradient that begins at value `start`, without its tables."""
        where = self._pieces(start, start + len(gradient))
        for piece in range(where.start, where.stop):
            if not self._by_rows[piece]:
                part = gradient[self._bounds[piece] - start : self._bounds[piece + 1] - start]
                self.squares[piece] = self._learned[piece] * _square(part)

    def add_rows(self, table: Table, numbers: Numbers, gradient: Floats) -> None:
        """Add rows of a table, (rows, width), with ascending numbers; rows that are zero may be left out."""
        exact = gradient.astype(np.float64)
        places = table.offset + numbers.astype(np.int64) * table.width
        where = np.searchsorted(self._begins, places, side="right") - 1
        np.add.at(self.squares, where, self._learned[where] * np.vecdot(exact, exact))

    def _pieces(self, start: int, stop: int) -> slice:
        return slice(bisect_left(self._bounds, start), bisect_left(self._bounds, stop))


def _square(part: Vector) -> float:
    """Return the squared norm; float32 has the range for it in most cases, and takes less time."""
    square = float(np.dot(part, part))
    if LEAST_SQUARE < square < inf:
        return square
    exact = part.astype(np.float64)
    return float(np.dot(exact, exact))


class ParameterSquares:
    """Adds the squared norms of the pieces of all shards by parameter."""

    def __init__(self, layout: Layout) -> None:
        bounds = cut(pieces(layout), layout.parameters)
        self._pieces = [slice(bisect_left(bounds, p.offset), bisect_left(bounds, p.stop)) for p in layout.parameters]

    def of(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the squared norm of the gradient by each parameter; `squares` has those of all pieces in order."""
        # `np.sum` has the same bits and takes three times as long for so few values; all servers wait for this.
        return np.array([np.add.reduce(squares[where]) for where in self._pieces])
