"""The reduction tree against a twin that is written out naively."""

from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.tree import children, maximal_subtrees, sum_within, tree_sum

LEAVES = st.integers(1, 40)


@st.composite
def ranges(draw):
    """Draw a number of leaves and a range of them."""
    leaves = draw(LEAVES)
    first = draw(st.integers(0, leaves))
    return leaves, first, draw(st.integers(first, leaves))


@st.composite
def divisions(draw):
    """Draw a number of leaves and a division of them into contiguous ranges, some empty."""
    leaves = draw(LEAVES)
    cuts = sorted(draw(st.lists(st.integers(0, leaves), max_size=8)))
    return leaves, list(zip([0, *cuts], [*cuts, leaves], strict=True))


def naive_nodes(first, last):
    """Return (first, last) and all nodes below it; a left child has the largest power of two of leaves that fits."""
    if last - first == 1:
        return [(first, last)]
    left = 1
    while left * 2 < last - first:
        left *= 2
    middle = first + left
    return [(first, last), *naive_nodes(first, middle), *naive_nodes(middle, last)]


def naive_sum(leaves, first, last):
    if last - first == 1:
        return leaves[first]
    left = 1
    while left * 2 < last - first:
        left *= 2
    return naive_sum(leaves, first, first + left) + naive_sum(leaves, first + left, last)


def fewest(nodes, first, last):
    """Return the least number of nodes that tile the range, by trying all."""
    best = {first: 0}
    for position in range(first, last):
        if position in best:
            for a, b in nodes:
                if a == position and b <= last:
                    best[b] = min(best.get(b, last), best[position] + 1)
    return best[last]


@given(LEAVES.filter(lambda n: n > 1))
def test_the_left_child_holds_the_largest_power_of_two_below(leaves):
    (first, middle), (again, last) = children((0, leaves))

    assert (first, last) == (0, leaves)
    assert middle == again
    assert middle & (middle - 1) == 0
    assert middle < leaves <= 2 * middle


@given(ranges())
def test_maximal_subtrees_are_the_fewest_nodes_that_make_up_the_range_from_left_to_right(case):
    leaves, first, last = case
    nodes = naive_nodes(0, leaves)

    subtrees = list(maximal_subtrees(first, last, leaves))

    assert set(subtrees) <= set(nodes)
    assert [leaf for a, b in subtrees for leaf in range(a, b)] == list(range(first, last))
    assert len(subtrees) == (fewest(nodes, first, last) if first < last else 0)
    assert len(subtrees) <= 2 * ceil(log2(leaves)) + 1


@pytest.mark.parametrize(
    ("leaves", "first", "last", "nodes"),
    [
        (8, 0, 8, [(0, 8)]),
        (8, 4, 8, [(4, 8)]),
        (8, 1, 7, [(1, 2), (2, 4), (4, 6), (6, 7)]),
        (7, 4, 7, [(4, 7)]),
        (5, 3, 5, [(3, 4), (4, 5)]),
        (1, 0, 1, [(0, 1)]),
        (5, 2, 2, []),
        (0, 0, 0, []),
    ],
)
def test_maximal_subtrees_by_hand(leaves, first, last, nodes):
    assert list(maximal_subtrees(first, last, leaves)) == nodes


@given(divisions(), st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1))
def test_every_division_of_the_leaves_gives_the_same_bits(case, dtype, seed):
    leaves, division = case
    rng = np.random.default_rng(seed)
    values = [rng.normal(0, 10.0 ** rng.integers(-3, 4), 5).astype(dtype) for _ in range(leaves)]
    sums = {node: naive_sum(values, *node) for a, b in division for node in maximal_subtrees(a, b, leaves)}
    whole = naive_sum(values, 0, leaves)

    assert tree_sum(sums, (0, leaves)).tobytes() == whole.tobytes()
    room = np.full((leaves.bit_length() + 1, 3), np.nan, dtype)
    assert sum_within(sums, (0, leaves), slice(1, 4), room).tobytes() == whole[1:4].tobytes()
