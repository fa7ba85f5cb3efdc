"""One update of the weights: reduce the contributions and apply the rule, block by block.

Where the rule takes the gradient as it is, both happen in one pass: a block's gradient is still in the cache when the
optimizer reads it, so each contribution crosses the memory bus once. A rule that scales the gradient by its norm needs
two passes, with a verdict between them. Of a table only the rows in use are summed, and only they are updated where the
others would stay as they are.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Floats, aligned_zeros
from raydient.steps.gradient import Gradient, Table
from raydient.steps.sparse import Numbers
from raydient.steps.sparse import blocks as row_blocks
from raydient.steps.tree import Node

from .blocks import Block, Blocks
from .health import PieceMeter
from .norms import PieceSquares
from .reduction import Reduction, Rows, rows_in_use
from .weights import Weights


class Updater:
    """Updates one vector of weights and its optimizer state in place.

    Attributes:
        rule: the update rule.
    """

    def __init__(
        self,
        weights: Weights,
        blocks: Blocks,
        *,
        tables: Sequence[Table] = (),
        updated: Callable[[int], None] = lambda stop: None,
    ) -> None:
        """Allocate what is needed besides `blocks`.

        Args:
            weights: weights and optimizer state; changed by `update` and `apply` alone.
            blocks: the blocks of a vector of this size.
            tables: parameters with a row-sparse gradient, in order.
            updated: is called, in the thread that updates, with the number of weights from the first on that have
                their new values.
        """
        self.rule = weights.rule
        self._weights, self._blocks, self._tables, self._updated = weights, blocks, tables, updated
        self._reduction = Reduction(weights.vector, weights.parameters, tables)
        # The gradient between two passes: without tables of which only the rows in use are kept, and these rows.
        self._gradient = aligned_zeros((0 if self.rule.in_one_pass else blocks.size,), np.float32)
        self._kept: list[tuple[Table, Sequence[tuple[Numbers, Floats]]]] = []
        self._squares = PieceSquares(blocks.bounds, weights.parameters, tables)

    def update(
        self, step: int, contributions: Mapping[Node, Gradient], root: Node, meter: PieceMeter | None = None
    ) -> NDArray[np.float64]:
        """Make update number `step` and return the squared norm of the gradient, not finite if the gradient is not.

        A second value is the squared norm after clipping, if values are clipped. Statistics of moving averages have no
        part in the norms unless they are not finite.

        Args:
            step: number of the update, from 0.
            contributions: nodes of the tree that together hold each leaf of `root` once. They are left as they are.
            root: the root of the tree.
            meter: receives the gradient and the update.
        """
        vectors = {node: gradient.vector for node, gradient in contributions.items()}
        used = rows_in_use(self._tables, contributions)
        alone = [rows for rows in used if self._others_rest(rows.table)]
        limited = self.rule.limit is not None

        def reduce_and_change(block: Block) -> tuple[float, float]:
            gradient = self._reduction.reduce(vectors, root, block)
            if meter is not None:
                meter.add_gradient(block.start, gradient)
            before = after = self._weights.square(block.start, gradient)
            if limited:
                gradient = self._weights.limit(block, gradient)
                after = self._weights.square(block.start, gradient)
            self._weights.change(step, block, gradient, meter)
            return before, after

        self._reduction.begin([rows for rows in used if rows not in alone], contributions, root)
        # Rows first: a block is reported as updated only when all before it is.
        squares = [
            self._weights.change_rows(step, rows.table, rows.sums(contributions, root), meter)
            for rows in alone
            if not self._weights.are_frozen(rows.table)
        ]
        squares += self._blocks.each([rows.table for rows in alone], reduce_and_change, self._updated)
        self._reduction.end()
        self._updated(self._blocks.size)
        self._move_average(step)
        return np.array([sum(before for before, _ in squares), sum(after for _, after in squares)][: 1 + limited])

    def reduce(
        self, contributions: Mapping[Node, Gradient], root: Node, meter: PieceMeter | None = None
    ) -> NDArray[np.float64]:
        """Sum the contributions, for `apply`, and return the squared norm of each piece of the gradient, see `norms`.

        Arguments are those of `update`.
        """
        vectors = {node: gradient.vector for node, gradient in contributions.items()}
        used = rows_in_use(self._tables, contributions)
        alone = [rows for rows in used if self._others_rest(rows.table)]
        self._squares.begin()

        def reduce(block: Block) -> None:
            gradient = block.of(self._gradient)
            np.copyto(gradient, self._reduction.reduce(vectors, root, block))
            if meter is not None:
                meter.add_gradient(block.start, gradient)
            self._squares.add(block.start, gradient)

        with np.errstate(all="ignore"):
            self._kept = [(rows.table, list(rows.sums(contributions, root))) for rows in alone]
            for table, kept in self._kept:
                for numbers, gradient in kept:
                    self._squares.add_rows(table, numbers, gradient)
        self._reduction.begin([rows for rows in used if rows not in alone], contributions, root)
        self._blocks.each([rows.table for rows in alone], reduce)
        self._reduction.end()
        for rows in used:
            if rows not in alone:
                self._add_rows(rows)
        return self._squares.squares

    @np.errstate(all="ignore")
    def _add_rows(self, rows: Rows) -> None:
        """Add the rows of a table, which the whole gradient has, to the squares: a penalty gives all rows one."""
        table = rows.table
        values = table.values(self._gradient)
        numbers = np.arange(table.rows, dtype=np.int32) if self._reduction.penalizes(table) else rows.numbers
        for _, part in row_blocks(numbers, table.width):
            self._squares.add_rows(table, part, values.take(part, axis=0))

    def apply(self, step: int, factors: Mapping[str, float], meter: PieceMeter | None = None) -> None:
        """Make update number `step` by the last `reduce`, clipped; `meter` receives the update.

        `factors` are those of each parameter by name, 1 by default.
        """

        def change(block: Block) -> None:
            gradient = block.of(self._gradient)
            self._weights.clip(block, gradient, factors)
            self._weights.change(step, block, gradient, meter)

        kept, self._kept = self._kept, []
        for table, rows in kept:
            if not self._weights.are_frozen(table):
                self._weights.change_rows(step, table, rows, meter, factors)
        self._blocks.each([table for table, _ in kept], change, self._updated)
        self._updated(self._blocks.size)
        self._move_average(step)

    def skip(self) -> None:
        """Drop the last `reduce`; weights and optimizer state stay as they are."""
        self._kept = []

    def direct(self, step: int, factors: Mapping[str, float]) -> NDArray[np.float64]:
        """Turn the last `reduce`, clipped, into the direction of update number `step`, for `follow`.

        Returns:
            The squared norms of the weights and of the direction in each piece of a parameter, (2, pieces).
        """
        norms = [PieceSquares(self._blocks.bounds, self._weights.parameters, ()) for _ in range(2)]

        def direct(block: Block) -> None:
            gradient = block.of(self._gradient)
            self._weights.clip(block, gradient, factors)
            self._weights.direct(step, block, gradient)
            for pieces, values in zip(norms, (block.of(self._weights.vector), gradient), strict=True):
                pieces.add(block.start, values)

        self._blocks.each((), direct)
        return np.array([pieces.squares for pieces in norms])

    def follow(self, step: int, ratios: Mapping[str, float], meter: PieceMeter | None = None) -> None:
        """Make update number `step` in the direction of the last `direct`, by the trust ratio of each parameter."""

        def change(block: Block) -> None:
            self._weights.change(step, block, block.of(self._gradient), meter, ratios)

        self._blocks.each((), change, self._updated)
        self._updated(self._blocks.size)
        self._move_average(step)

    def _move_average(self, step: int) -> None:
        """Move the average after an update, in all rows of tables: the average of a row that rests approaches it."""
        if self._weights.average is not None:
            self._blocks.each((), lambda block: self._weights.move_average(step, block))

    def _others_rest(self, table: Table) -> bool:
        """Return True if rows that are not in use keep weights and state."""
        if self._weights.are_frozen(table):
            return True
        alike = self.rule.layerwise is None and (self.rule.lazy or self.rule.optimizer.rests_at_zero)
        changed = self._reduction.penalizes(table) or (self._weights.decays(table) and not self.rule.lazy)
        return alike and not changed
