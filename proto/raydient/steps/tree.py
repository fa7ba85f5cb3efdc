"""The reduction tree: the order in which the leaves of a round are added, whichever workers computed them.

Floating-point addition is not associative, so the order is fixed: a binary tree over the leaves 0..n-1 whose left
subtree holds the largest power of two below n leaves. The name of a node is the half-open range of its leaves. Partial
sums exist for nodes only, so any division of the leaves among workers gives the same bits.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .arrays import Vector

Node = tuple[int, int]
"""Half-open range of leaves that is a node of the tree."""

Real = TypeVar("Real", np.float32, np.float64)


def children(node: Node) -> tuple[Node, Node]:
    """Return the left and the right child of a node of at least two leaves."""
    first, last = node
    middle = first + (1 << (last - first - 1).bit_length() - 1)
    return (first, middle), (middle, last)


def maximal_subtrees(first: int, last: int, leaves: int) -> Iterator[Node]:
    """Yield the fewest nodes of the tree over `leaves` leaves that together have the leaves `first`..`last` - 1.

    From left to right: one node if the range is a node, O(log leaves) otherwise, none if the range is empty.
    """

    def walk(node: Node) -> Iterator[Node]:
        if last <= node[0] or node[1] <= first:
            return
        if first <= node[0] and node[1] <= last:
            yield node
            return
        for child in children(node):
            yield from walk(child)

    if leaves and first < last:
        yield from walk((0, leaves))


def tree_sum(contributions: Mapping[Node, NDArray[Real]], node: Node) -> NDArray[Real]:
    """Return the sum over `node`, added along the tree.

    `contributions` are sums over nodes that together hold each leaf of `node` once. Each addition allocates an array;
    `sum_within` does not.
    """
    whole = contributions.get(node)
    if whole is not None:
        return whole
    left, right = children(node)
    return tree_sum(contributions, left) + tree_sum(contributions, right)


def sum_within(
    contributions: Mapping[Node, Vector], node: Node, where: slice, room: Sequence[Vector], depth: int = 0
) -> Vector:
    """Return the part `where` of the sum over `node`, as in `tree_sum`.

    The result lies in `room[depth]`, or is a view of the contribution for `node`, if there is one. `room` has an array
    of the part's length for each level of the tree from `depth` on.
    """
    whole = contributions.get(node)
    if whole is not None:
        return whole[where]
    left, right = children(node)
    a = sum_within(contributions, left, where, room, depth)
    b = sum_within(contributions, right, where, room, depth + 1)
    return np.add(a, b, out=room[depth])
