"""All leaves are assigned, each to one worker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters.assignments import Assignments, divide, nodes

SHARES = st.lists(st.floats(0.001, 1000), min_size=1, max_size=12)


@given(first=st.integers(0, 50), count=st.integers(0, 5000), shares=SHARES)
def test_ranges_cover_exactly_and_are_proportional(first, count, shares):
    ranges = divide(first, first + count, shares)

    assert len(ranges) == len(shares)
    assert [start for start, _ in ranges] + [first + count] == [first] + [stop for _, stop in ranges]
    for (start, stop), share in zip(ranges, shares, strict=True):
        assert stop >= start
        assert abs(stop - start - count * share / sum(shares)) <= 1 + 1e-6


def test_ranges_by_hand():
    assert divide(0, 8, [1, 1]) == [(0, 4), (4, 8)]
    assert divide(2, 8, [1, 2]) == [(2, 4), (4, 8)]
    assert divide(0, 8, [1, 0, 1]) == [(0, 4), (4, 4), (4, 8)]
    assert divide(0, 1, [1, 1, 1]) == [(0, 0), (0, 1), (1, 1)]


@pytest.mark.parametrize(("leaves", "count"), [(0, 0), (1, 1), (2, 3), (7, 13), (8, 15)])
def test_a_tree_has_one_node_fewer_than_twice_its_leaves(leaves, count):
    assert len(nodes(leaves)) == count


def test_nodes_by_hand():
    assert nodes(3) == {(0, 3), (0, 2), (2, 3), (0, 1), (1, 2)}


@given(leaves=st.integers(1, 30), workers=st.integers(1, 8), done=st.sets(st.integers(0, 29)))
def test_every_waiting_leaf_is_handed_out_once(leaves, workers, done):
    assignments = Assignments(leaves)
    for leaf in done:
        if leaf < leaves:
            assignments.done((leaf, leaf + 1))
    waiting = sorted(assignments.missing)

    handed = list(assignments.hand_out(range(workers), [1.0] * workers))

    assert sorted(leaf for _, first, last in handed for leaf in range(first, last)) == waiting
    assert all(first < last for _, first, last in handed)
    assert list(assignments.hand_out(range(workers), [1.0] * workers)) == []


def test_leaves_that_a_lost_worker_had_not_pushed_wait_again():
    assignments = Assignments(8)
    assert list(assignments.hand_out([1, 2], [1, 1])) == [(1, 0, 4), (2, 4, 8)]
    assignments.done((4, 6))

    assignments.forget(2)

    assert list(assignments.hand_out([1, 3], [1, 1])) == [(1, 6, 7), (3, 7, 8)]


def test_only_nodes_whose_leaves_are_all_missing_are_accepted():
    assignments = Assignments(5)
    assignments.done((2, 3))

    accepted = [(a, b) for a in range(7) for b in range(7) if assignments.accepts((a, b))]

    assert accepted == [(0, 1), (0, 2), (1, 2), (3, 4), (4, 5)]
    assert not assignments.complete
    for node in [(0, 2), (3, 4), (4, 5)]:
        assignments.done(node)
    assert assignments.complete
