"""Measures gradient health by layer: norms of gradient, update and weights, and values that are not finite.

Sums of squares are taken in float64 over fixed pieces of the flat vector and added in the order of the pieces, so they
have the same bits for any number of threads and workers.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Vector
from raydient.steps.layout import Layout, Learned
from raydient.steps.measurements import GradientHealth, LayerHealth

PIECE = 1 << 13
"""Values per piece, a divisor of the update's blocks; in float64 they fit into the cache. A layer's last piece may have
fewer.
"""

_Part = tuple[int, slice, NDArray[np.float64]]
_GRADIENT, _WEIGHTS, _UPDATE = range(3)


class LayerMeter:
    """Measures one step at a time. Threads may add parts of the vector at the same time if these do not overlap.

    A part begins and ends at a multiple of PIECE, or at a bound of a layer or of a table with a sparse gradient.
    Moving averages, which lie at the end of a layer, do not count in its norms.

    Attributes:
        units: number of units with a rectifier, in all layers.
    """

    def __init__(self, layout: Layout, layers: Sequence[tuple[str, int]]) -> None:
        """`layers` are the names of all layers in the order of the network, with their numbers of rectified units."""
        self._layers = tuple(layers)
        self.units = sum(units for _, units in layers)
        learned: dict[str, tuple[int, int]] = {}  # bounds of the learned parameters of a layer
        for parameter in layout.parameters:
            if isinstance(parameter.kind, Learned):
                layer, end = parameter.name.rpartition(".")[0], parameter.stop
                learned[layer] = learned.get(layer, (parameter.offset, end))[0], end
        ends = (end for bounds in learned.values() for end in bounds)
        tables = (bound for p in layout.parameters if p.sparse for bound in (p.offset, p.stop))
        self._bounds = sorted({*range(0, layout.size, PIECE), *ends, *tables, 0, layout.size})
        self._pieces = {
            layer: slice(bisect_left(self._bounds, start), bisect_left(self._bounds, end))
            for layer, (start, end) in learned.items()
        }
        self._squares = np.zeros((len(self._bounds) - 1, 3))
        self._non_finite = np.zeros(len(self._bounds) - 1, np.int64)

    def add_gradient(self, start: int, gradient: Vector) -> None:
        """Add the part of the aggregated gradient that begins at value `start` of the flat vector."""
        room = np.empty(PIECE)
        for piece, part, square in self._parts(start, len(gradient), room):
            np.copyto(square, gradient[part])
            self._squares[piece, _GRADIENT] = total = np.dot(square, square)
            # The square of a float32 is finite in float64, and so is the sum of all of a piece.
            self._non_finite[piece] = 0 if np.isfinite(total) else np.count_nonzero(~np.isfinite(square))

    def add_update(self, start: int, before: Vector, after: Vector) -> None:
        """Add a part of the weights before and after the update; it begins at value `start`."""
        room = np.empty(PIECE)
        for piece, part, square in self._parts(start, len(before), room):
            np.copyto(square, before[part])
            self._squares[piece, _WEIGHTS] = np.dot(square, square)
            np.subtract(after[part], square, out=square)
            self._squares[piece, _UPDATE] = np.dot(square, square)

    def add_table(self, start: int, weights: Vector) -> None:
        """Add a table before an update that changes only the rows that `add_rows` adds."""
        room = np.empty(PIECE)
        for piece, part, square in self._parts(start, len(weights), room):
            np.copyto(square, weights[part])
            self._squares[piece] = 0
            self._squares[piece, _WEIGHTS] = np.dot(square, square)
            self._non_finite[piece] = 0

    def add_rows(self, start: int, gradient: Vector, before: Vector, after: Vector) -> None:
        """Add rows of the table that begins at value `start`: aggregated gradient, values before and after."""
        piece = bisect_left(self._bounds, start)
        g, update = gradient.astype(np.float64), np.subtract(after, before, dtype=np.float64)
        self._squares[piece, _GRADIENT] += np.vdot(g, g)
        self._squares[piece, _UPDATE] += np.vdot(update, update)
        self._non_finite[piece] += np.count_nonzero(~np.isfinite(g))

    def _parts(self, start: int, length: int, room: NDArray[np.float64]) -> Iterator[_Part]:
        """Yield the pieces of a part of the vector: their numbers, places in the part, and buffers from `room`."""
        first, last = bisect_left(self._bounds, start), bisect_left(self._bounds, start + length)
        assert self._bounds[first] == start
        assert self._bounds[last] == start + length
        for n in range(first, last):
            a, b = self._bounds[n], self._bounds[n + 1]
            yield n, slice(a - start, b - start), room[: b - a]

    def read(self, step: int, active: Vector | None, *, updated: bool) -> GradientHealth:
        """Return the health of the step that was added.

        Args:
            step: number of the step, as in `GradientHealth`.
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
                result.append(self._layer(layer, dead, updated=updated))
            elif dead is not None:
                result.append(LayerHealth(layer, dead_units_ratio=dead))
        return GradientHealth(step, tuple(result))

    def _layer(self, layer: str, dead: float | None, *, updated: bool) -> LayerHealth:
        pieces = self._pieces[layer]
        gradient, weights, update = map(sqrt, np.sum(self._squares[pieces], axis=0).tolist())
        ratio = (update / weights if weights else inf if update else 0.0) if updated else None
        return LayerHealth(layer, gradient, ratio, int(np.sum(self._non_finite[pieces])), dead)
