"""The gradient of a step, block by block: the sum of the contributions, and the gradient of the penalties."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raydient.steps.arrays import Floats, Vector, aligned_zeros
from raydient.steps.gradient import Gradient, Table, between
from raydient.steps.layout import Learned, Parameter
from raydient.steps.sparse import Numbers, blocks, put, union
from raydient.steps.tree import Node, sum_within, tree_sum

from .blocks import Block


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a table that are in use in one step."""

    table: Table
    numbers: Numbers

    def sums(self, contributions: Mapping[Node, Gradient], root: Node) -> Iterator[tuple[Numbers, Floats]]:
        """Yield these rows' numbers and sums over `root`, block by block."""
        parts = {node: gradient.tables[self.table.offset] for node, gradient in contributions.items()}
        for _, numbers in blocks(self.numbers, self.table.width):
            yield numbers, tree_sum({node: part.rows(numbers) for node, part in parts.items()}, root)


def rows_in_use(tables: Sequence[Table], contributions: Mapping[Node, Gradient]) -> list[Rows]:
    """Return the rows of each table that are in use in any of the contributions."""
    return [
        Rows(table, union([gradient.tables[table.offset].used for gradient in contributions.values()]))
        for table in tables
    ]


class Reduction:
    """Computes the gradient of a step, block by block.

    `reduce` may be called by several threads at a time, for different blocks.
    """

    def __init__(self, weights: Vector, parameters: Sequence[Parameter], tables: Sequence[Table]) -> None:
        self._weights = weights
        self._penalized = [
            (p, p.kind.l1, p.kind.l2) for p in parameters if isinstance(p.kind, Learned) and (p.kind.l1 or p.kind.l2)
        ]
        # Between `begin` and `end` the sums of the rows in use, amid zeros; otherwise all zeros.
        self._spread_out = aligned_zeros((len(weights) if tables else 0,), np.float32)
        self._rows: Sequence[Rows] = ()
        self._tables: Sequence[Table] = ()  # those of `_rows`

    def penalizes(self, table: Table) -> bool:
        """Return True if the gradient of a table has that of a penalty, in every row."""
        return any(parameter.offset == table.offset for parameter, _, _ in self._penalized)

    def begin(self, rows: Sequence[Rows], contributions: Mapping[Node, Gradient], root: Node) -> None:
        """Begin a step: sum the rows in use of the tables that `reduce` covers."""
        for used in rows:
            values = used.table.values(self._spread_out)
            with np.errstate(all="ignore"):
                for numbers, total in used.sums(contributions, root):
                    put(values, numbers, total)
        self._rows, self._tables = rows, [used.table for used in rows]

    def end(self) -> None:
        """End the step that `begin` began."""
        for used in self._rows:
            put(used.table.values(self._spread_out), used.numbers, np.zeros((1, used.table.width)))

    def reduce(self, vectors: Mapping[Node, Vector], root: Node, block: Block) -> Vector:
        """Return the gradient of a block, with that of the penalties: in `block.room[0]`, or a view to be read only."""
        gradient, total = self._sum(vectors, root, block), block.room[0]
        for parameter, l1, l2 in self._penalized:
            first, last = max(parameter.offset, block.start), min(parameter.stop, block.stop)
            if first < last:
                if gradient is not total:  # a view of a contribution, which is left as it is
                    np.copyto(total, gradient)
                    gradient = total
                part = slice(first - block.start, last - block.start)
                _add_penalty(total[part], self._weights[first:last], l1, l2, block.free[0][part])
        return gradient

    def _sum(self, vectors: Mapping[Node, Vector], root: Node, block: Block) -> Vector:
        start, total = block.start, block.room[0]
        pieces = list(between(self._tables, start, block.stop))
        if pieces == [slice(start, block.stop)]:
            return sum_within(vectors, root, pieces[0], block.room)
        if not pieces:
            return block.of(self._spread_out)
        np.copyto(total, block.of(self._spread_out))
        for piece in pieces:
            room = [array[piece.start - start : piece.stop - start] for array in block.room]
            np.copyto(room[0], sum_within(vectors, root, piece, room))
        return total


def _add_penalty(gradient: Vector, weights: Vector, l1: float, l2: float, free: Vector) -> None:
    """Add the gradient of l1 · Σ |w| + l2 · Σ w²: l1 sign(w) + 2 l2 w."""
    if l2:
        np.multiply(weights, np.float32(2 * l2), out=free)
        gradient += free
    if l1:
        np.sign(weights, out=free)
        free *= np.float32(l1)
        gradient += free
