"""The reduction tree: the order in which the leaves of a round are added, whichever workers computed them.

Floating-point addition is not associative, so the order is fixed: a binary tree over the leaves 0..n-1 whose left
subtree holds the largest power of two below n leaves. The name of a node is the half-open range of its leaves. Partial
sums exist for nodes only, so any division of the leaves among workers gives the same bits.
"""

from collections.abc import Iterator

Node = tuple[int, int]
"""Half-open range of leaves that is a node of the tree."""


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
