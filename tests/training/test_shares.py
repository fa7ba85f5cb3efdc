"""The division of leaves among workers of unequal speed, against a search over all divisions."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters.assignments import divide
from raydient.server.training.shares import GAIN, division, fastest_counts, in_tree_order, slowest_seconds, with_leaves
from raydient.steps.tree import maximal_subtrees

PACES = st.lists(st.floats(0.001, 100), min_size=1, max_size=4)


def ranges(leaves, shares):
    return divide(0, leaves, list(shares.values()))


def counts_of(leaves, shares):
    return {w: b - a for w, (a, b) in zip(shares, ranges(leaves, shares), strict=True)}


def pushes(leaves, bounds):
    return sum(len(list(maximal_subtrees(first, last, leaves))) for first, last in bounds)


@given(leaves=st.integers(1, 9), paces=PACES)
def test_no_division_has_a_faster_slowest_worker(leaves, paces):
    every = product(range(leaves + 1), repeat=len(paces))
    best = min(
        max(n * pace for n, pace in zip(counts, paces, strict=True)) for counts in every if sum(counts) == leaves
    )

    counts = fastest_counts(leaves, range(len(paces)), dict(enumerate(paces)))

    assert sum(counts.values()) == leaves
    assert max(counts[w] * pace for w, pace in enumerate(paces)) == pytest.approx(best)


@given(leaves=st.integers(1, 70), paces=st.lists(st.floats(0.001, 100), min_size=1, max_size=9))
def test_shares_divide_all_leaves_and_are_faster_than_equal_ones_or_equal(leaves, paces):
    known = dict(enumerate(paces))
    shares = division(leaves, range(len(paces)), known)

    assert sorted(shares) == list(range(len(paces)))
    assert min(shares.values()) > 0
    assert sum(counts_of(leaves, shares).values()) == leaves
    equal = dict.fromkeys(range(len(paces)), 1.0)
    best, usual = (slowest_seconds(leaves, s, known) for s in (shares, equal))
    assert shares == equal or best <= (1 - GAIN) * usual * (1 + 1e-9)
    if shares != equal:
        assert counts_of(leaves, shares) == fastest_counts(leaves, range(len(paces)), known)


@given(leaves=st.integers(1, 200), paces=st.lists(st.floats(1.0, 1.1), min_size=1, max_size=12))
def test_nearly_equal_speeds_mean_equal_shares(leaves, paces):
    shares = division(leaves, range(len(paces)), dict(enumerate(paces)))
    assert list(shares.items()) == [(worker, 1.0) for worker in range(len(paces))]


def test_divisions_by_hand():
    slow = {1: 1.0, 2: 1.0, 3: 4.0, 4: 1.0}
    assert counts_of(8, division(8, [1, 2, 3, 4], slow)) == {1: 3, 2: 3, 3: 0, 4: 2}
    assert counts_of(16, division(16, [1, 2, 3, 4], slow)) == {1: 5, 2: 5, 3: 1, 4: 5}
    assert with_leaves(8, division(8, [1, 2, 3, 4], slow)) == {1, 2, 4}


def test_a_worker_of_unknown_pace_counts_as_the_median():
    assert division(8, [1, 2, 3], {1: 1.0}) == {1: 1.0, 2: 1.0, 3: 1.0}
    assert fastest_counts(9, [1, 2, 3, 4], {1: 1.0, 2: 1.0, 3: 4.0}) == {1: 3, 2: 3, 3: 0, 4: 3}
    assert division(8, [1, 2], {}) == {1: 1.0, 2: 1.0}
    assert division(8, [], {1: 1.0}) == {}


def test_the_order_saves_pushes():
    counts = {1: 5, 2: 5, 3: 1, 4: 5}
    bounds, first = [], 0
    for worker in in_tree_order(16, counts):
        bounds.append((first, first + counts[worker]))
        first += counts[worker]
    assert in_tree_order(16, counts) == [1, 3, 2, 4]
    assert pushes(16, bounds) == 8 < pushes(16, [(0, 5), (5, 10), (10, 15), (15, 16)])


def test_a_worker_without_leaves_gets_all_when_the_others_are_lost():
    shares = division(2, [1, 2], {1: 1.0, 2: 100.0})
    assert with_leaves(2, shares) == {1}
    assert with_leaves(2, {2: shares[2]}) == {2}
