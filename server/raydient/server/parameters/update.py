"""One update of the weights: reduce the contributions and apply the rule, block by block.

Where the rule takes the gradient as it is, both happen in one pass: a block's gradient is still in the cache when the
optimizer reads it, so each contribution crosses the memory bus once. A rule that scales the gradient by its norm needs
two passes. Of a table of which few rows are in use only those rows are summed, and only they are updated where the
others would stay as they are.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from raydient.steps.arrays import aligned_zeros
from raydient.steps.gradient import Gradient, Table
from raydient.steps.tree import Node

from .blocks import Block, Blocks
from .health import LayerMeter
from .reduction import Reduction, few_rows
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
            weights: weights and optimizer state; changed by `apply` alone.
            blocks: the blocks of a vector of this size.
            tables: parameters with a row-sparse gradient, in order.
            updated: is called, in the thread that calls `apply`, with the number of weights from the first on that have
                their new values.
        """
        self.rule = weights.rule
        self._weights, self._blocks, self._tables, self._updated = weights, blocks, tables, updated
        self._reduction = Reduction(weights.vector, weights.parameters, tables)
        # The gradient between two passes.
        self._gradient = aligned_zeros((blocks.size if self.rule.scale else 0,), np.float32)

    def apply(
        self, step: int, contributions: Mapping[Node, Gradient], root: Node, meter: LayerMeter | None = None
    ) -> float:
        """Make update number `step` and return the squared norm of the gradient, not finite if the gradient is not.

        Statistics of moving averages have no part in the norm unless they are not finite.

        Args:
            step: number of the update, from 0.
            contributions: nodes of the tree that together hold each leaf of `root` once. They are left as they are.
            root: the root of the tree.
            meter: receives the gradient and the update.
        """
        vectors = {node: gradient.vector for node, gradient in contributions.items()}
        few = few_rows(self._tables, contributions)
        alone = [rows for rows in few if self._others_rest(rows.table)]
        without, scale = [rows.table for rows in alone], self.rule.scale

        def reduce_and_change(block: Block) -> float:
            gradient = self._reduction.reduce(vectors, root, block)
            square = self._weights.measure(block, gradient, meter)
            self._weights.change(step, block, gradient, meter)
            return square

        def reduce(block: Block) -> float:
            gradient = block.of(self._gradient)
            np.copyto(gradient, self._reduction.reduce(vectors, root, block))
            return self._weights.measure(block, gradient, meter)

        def change(block: Block) -> float:
            gradient = block.of(self._gradient)
            gradient *= factor
            self._weights.change(step, block, gradient, meter)
            return 0.0

        self._reduction.begin([rows for rows in few if rows not in alone], contributions, root)
        if scale is None:
            # Rows first: a block is reported as updated only when all before it is.
            squares = [
                self._weights.change_rows(step, rows.table, rows.sums(contributions, root), meter)
                for rows in alone
                if not self._weights.are_frozen(rows.table)
            ]
            square = sum([*squares, *self._blocks.each(without, reduce_and_change, self._updated)])
        else:
            square = sum(self._blocks.each(without, reduce))
            factor = np.float32(scale(square))
            self._blocks.each(without, change, self._updated)
        self._reduction.end()
        self._updated(self._blocks.size)
        return square

    def _others_rest(self, table: Table) -> bool:
        """Return True if rows that are not in use keep weights and state, bit by bit."""
        if self._weights.are_frozen(table):
            return True
        alike = self.rule.scale is None and self.rule.optimizer.rests_at_zero
        return alike and not self._reduction.penalizes(table)
