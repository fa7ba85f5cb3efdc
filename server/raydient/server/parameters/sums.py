"""Sums of contributions in the order of the reduction tree: whole arrays, parts of vectors, and rows of tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Floats, Vector
from raydient.steps.gradient import Gradient, Table
from raydient.steps.sparse import Numbers, blocks, union
from raydient.steps.tree import Node, children

Real = TypeVar("Real", np.float32, np.float64)


def tree_sum(contributions: Mapping[Node, NDArray[Real]], node: Node) -> NDArray[Real]:
    """Return the sum over a node of small arrays."""
    whole = contributions.get(node)
    if whole is not None:
        return whole
    left, right = children(node)
    return tree_sum(contributions, left) + tree_sum(contributions, right)


def sum_within(
    contributions: Mapping[Node, Vector], node: Node, where: slice, room: Sequence[Vector], depth: int = 0
) -> Vector:
    """Return the sum over a node of a part of vectors: in `room[depth]`, or a view if one contribution is all of it.

    `room` has an array of the part's length for each level of the tree from `depth` on.
    """
    whole = contributions.get(node)
    if whole is not None:
        return whole[where]
    left, right = children(node)
    a = sum_within(contributions, left, where, room, depth)
    b = sum_within(contributions, right, where, room, depth + 1)
    return np.add(a, b, out=room[depth])


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a table that are in use in one step."""

    table: Table
    numbers: Numbers

    def sums(self, contributions: Mapping[Node, Gradient], root: Node) -> Iterator[tuple[Numbers, Floats]]:
        """Yield these rows' numbers and sums over `root`, block by block."""
        views = {node: gradient.tables[self.table.offset].values for node, gradient in contributions.items()}
        for numbers in blocks(self.numbers, self.table.width):
            # A contribution that does not use one of them has zeros there.
            yield numbers, tree_sum({node: view.take(numbers, axis=0) for node, view in views.items()}, root)


def few_rows(tables: Sequence[Table], contributions: Mapping[Node, Gradient]) -> list[Rows]:
    """Return the rows in use of each table of which few are in use in all contributions together."""
    few = []
    for table in tables:
        gradients = [gradient.tables[table.offset] for gradient in contributions.values()]
        numbers = union([gradient.used for gradient in gradients])
        if gradients[0].are_few(numbers):
            few.append(Rows(table, numbers))
    return few
