"""Measures gradient health by layer: norms of gradient, update and weights, and values that are not finite.

Sums of squares are taken in float64 over fixed pieces of the flat vector and added in the order of the pieces, so they
have the same bits for any number of threads, workers and shards. A shard measures its pieces; the conductor adds them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Floats, Vector
from raydient.steps.layout import Layout, Learned
from raydient.steps.measurements import GradientHealth, LayerHealth
from raydient.steps.ranges import PIECE, pieces

_Part = tuple[int, slice, NDArray[np.float64]]
_GRADIENT, _WEIGHTS, _UPDATE, _NON_FINITE = range(4)
LEAST_SQUARE = 1e-24
"""Sums of squares below it are taken in float64: squares of float32 values can underflow and be missing in them."""


def measured_pieces(layout: Layout) -> list[int]:
    """Return the bounds of the measured pieces: those of `ranges.pieces`, cut where a layer's learned values end."""
    ends = {end for bounds in _learned(layout).values() for end in bounds}
    return sorted({*pieces(layout), *ends})


def _learned(layout: Layout) -> dict[str, tuple[int, int]]:
    """Return the bounds of the learned parameters of each layer that has any."""
    learned: dict[str, tuple[int, int]] = {}
    for parameter in layout.parameters:
        if isinstance(parameter.kind, Learned):
            layer, end = parameter.name.rpartition(".")[0], parameter.stop
            learned[layer] = learned.get(layer, (parameter.offset, end))[0], end
    return learned


class PieceMeter:
    """Measures the pieces of a shard, one step at a time.

    Threads may add parts of the vector at the same time if these do not overlap. A part begins and ends at a bound.
    """

    def __init__(self, bounds: Sequence[int]) -> None:
        """`bounds` are those of `measured_pieces` inside the shard's range, from its beginning on."""
        self._bounds, self._begins = bounds, np.array(bounds[:-1])
        self._measured = np.zeros((len(bounds) - 1, 4))

    def read(self) -> NDArray[np.float64]:
        """Return a row for each piece: squared norms of gradient, weights and update; values that are not finite."""
        return self._measured.copy()

    def add_gradient(self, start: int, gradient: Vector) -> None:
        """Add the part of the aggregated gradient that begins at value `start` of the shard."""
        room = np.empty(PIECE)
        for piece, part, square in self._parts(start, len(gradient), room):
            np.copyto(square, gradient[part])
            self._measured[piece, _GRADIENT] = total = np.dot(square, square)
            # The square of a float32 is finite in float64, and so is the sum of all of a piece.
            finite = np.isfinite(total)
            self._measured[piece, _NON_FINITE] = 0 if finite else np.count_nonzero(~np.isfinite(square))

    def add_update(self, start: int, before: Vector, after: Vector) -> None:
        """Add a part of the weights before and after the update; it begins at value `start`."""
        room = np.empty(PIECE)
        for piece, part, square in self._parts(start, len(before), room):
            np.copyto(square, before[part])
            self._measured[piece, _WEIGHTS] = np.dot(square, square)
            np.subtract(after[part], square, out=square)
            self._measured[piece, _UPDATE] = np.dot(square, square)

    def add_table(self, start: int, weights: Vector) -> None:
        """Add a table before an update that changes only the rows that `add_rows` adds."""
        first, last = bisect_left(self._bounds, start), bisect_left(self._bounds, start + len(weights))
        size = self._bounds[first + 1] - start
        # All pieces of a table have one size, except the last one.
        even = len(weights) // size * size
        squares = [_squares(weights[:even].reshape(-1, size)), _squares(weights[np.newaxis, even:])]
        self._measured[first:last] = 0
        self._measured[first:last, _WEIGHTS] = np.concatenate(squares)[: last - first]

    def add_rows(self, places: NDArray[np.integer], gradient: Floats, before: Floats, after: Floats) -> None:
        """Add rows of tables that `add_table` has added.

        Each row is measured by itself and added to its piece, so that the bits do not depend on the other rows.

        Args:
            places: index of the first value of each row, ascending, (rows,).
            gradient, before, after: aggregated gradient, and values before and after the update, (rows, width).
        """
        pieces = np.searchsorted(self._begins, places, side="right") - 1
        g, update = gradient.astype(np.float64), np.subtract(after, before, dtype=np.float64)
        np.add.at(self._measured[:, _GRADIENT], pieces, np.einsum("ij,ij->i", g, g))
        np.add.at(self._measured[:, _UPDATE], pieces, np.einsum("ij,ij->i", update, update))
        np.add.at(self._measured[:, _NON_FINITE], pieces, np.count_nonzero(~np.isfinite(g), axis=1))

    def _parts(self, start: int, length: int, room: NDArray[np.float64]) -> Iterator[_Part]:
        """Yield the pieces of a part of the vector: their numbers, places in the part, and buffers from `room`."""
        first, last = bisect_left(self._bounds, start), bisect_left(self._bounds, start + length)
        assert self._bounds[first] == start
        assert self._bounds[last] == start + length
        if last > first:
            longest = max(b - a for a, b in zip(self._bounds[first:last], self._bounds[first + 1 :], strict=False))
            room = room if longest <= len(room) else np.empty(longest)
        for n in range(first, last):
            a, b = self._bounds[n], self._bounds[n + 1]
            yield n, slice(a - start, b - start), room[: b - a]


def _squares(weights: Floats) -> NDArray[np.float64]:
    """Return the sum of squares of each row of float32 values, (rows,), with a relative error below 1e-6.

    Where float32 has the range, BLAS adds in float32: that takes a fifth of the time of a conversion to float64.
    """
    with np.errstate(all="ignore"):
        squares: NDArray[np.float64] = np.vecdot(weights, weights).astype(np.float64)
    for row in np.flatnonzero(~((squares > LEAST_SQUARE) & (squares < np.inf))):
        exact = weights[row].astype(np.float64)
        squares[row] = exact @ exact
    return squares


class LayerSums:
    """Adds the measured pieces of all shards by layer.

    Moving averages, which lie at the end of a layer, do not count in its norms.

    Attributes:
        layout: parameters of the whole vector.
    """

    def __init__(self, layout: Layout, layers: Sequence[tuple[str, int]]) -> None:
        """`layers` are the names of all layers in the order of the network, with their numbers of rectified units."""
        bounds = measured_pieces(layout)
        self.layout, self._layers = layout, tuple(layers)
        self._pieces = {
            layer: slice(bisect_left(bounds, start), bisect_left(bounds, end))
            for layer, (start, end) in _learned(layout).items()
        }

    def health(
        self, step: int, measured: NDArray[np.float64], active: NDArray[np.floating] | None, *, updated: bool
    ) -> GradientHealth:
        """Return the health of a step.

        Args:
            step: number of the step, as in `GradientHealth`.
            measured: what `PieceMeter.read` returned, of all shards in order.
            active: for each unit with a rectifier, in the order of the network, the number of microbatches in which it
                was not zero for every sample; None if that was not counted.
            updated: whether the update was added as well.
        """
        result, first = [], 0
        for layer, units in self._layers:
            dead, last = None, first + units
            if units and active is not None:
                dead = np.count_nonzero(active[first:last] == 0) / units
            first = last
            if layer in self._pieces:
                result.append(_layer(layer, measured[self._pieces[layer]], dead, updated=updated))
            elif dead is not None:
                result.append(LayerHealth(layer, dead_units_ratio=dead))
        return GradientHealth(step, tuple(result))


def _layer(layer: str, pieces: NDArray[np.float64], dead: float | None, *, updated: bool) -> LayerHealth:
    gradient, weights, update = map(sqrt, np.sum(pieces[:, :_NON_FINITE], axis=0).tolist())
    ratio = (update / weights if weights else inf if update else 0.0) if updated else None
    return LayerHealth(layer, gradient, ratio, int(np.sum(pieces[:, _NON_FINITE])), dead)
