"""Sums in the order of the reduction tree."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Vector
from raydient.steps.tree import Node, children

Real = TypeVar("Real", np.float32, np.float64)


def sum_within(
    contributions: Mapping[Node, Vector], node: Node, where: slice, room: Sequence[Vector], depth: int = 0
) -> Vector:
    """The sum over a node of a part of vectors, in `room[depth]` unless one contribution is all of it.

    `room` has an array of the part's length for each level of the tree from `depth` on.
    """
    whole = contributions.get(node)
    if whole is not None:
        return whole[where]
    left, right = children(node)
    a = sum_within(contributions, left, where, room, depth)
    b = sum_within(contributions, right, where, room, depth + 1)
    return np.add(a, b, out=room[depth])


def tree_sum(contributions: Mapping[Node, NDArray[Real]], node: Node) -> NDArray[Real]:
    """The sum over a node of small arrays, in tree order."""
    whole = contributions.get(node)
    if whole is not None:
        return whole
    left, right = children(node)
    return tree_sum(contributions, left) + tree_sum(contributions, right)
