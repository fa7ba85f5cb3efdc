"""Ranks of rows: each pair counts once, whatever the scores are, and in any order of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.scores import RANKS, SCORE, as_bytes, from_bytes, rank, write_ranks


def scores_of(pairs):
    return np.array(pairs, SCORE).reshape(-1)


def by_pairs(pairs):
    """Return what `rank` returns, counted pair by pair."""
    positives, negatives = ([score for score, positive in pairs if positive is label] for label in (True, False))
    above = sum(2 * (p > n) + (p == n) for p in positives for n in negatives)
    shares = [sum(q >= p for q in positives) / sum(q >= p for q, _ in pairs) for p in positives]
    return above, len(positives), len(negatives), pytest.approx(sum(shares), rel=1e-12)


ROWS = st.lists(
    st.tuples(st.one_of(st.floats(width=32, allow_nan=False), st.sampled_from([0.0, -0.0, 1.0])), st.booleans()),
    max_size=30,
)


@given(pairs=ROWS, data=st.data())
def test_ranks_are_those_of_the_pairs_in_any_order(pairs, data):
    assert rank(scores_of(pairs)) == by_pairs(pairs)
    assert rank(scores_of(data.draw(st.permutations(pairs)))) == by_pairs(pairs)


def test_more_pairs_than_float32_can_count_are_exact():
    scores = np.zeros(20_000, SCORE)
    scores["score"], scores["positive"] = np.arange(20_000), np.arange(20_000) >= 10_000
    assert rank(scores) == (2 * 10_000**2, 10_000, 10_000, 10_000)


def test_each_column_goes_to_its_place():
    scores, sums = np.zeros((3, 2), SCORE), np.full(9, 7.0)
    scores["score"], scores["positive"] = [[1, 1], [2, 1], [3, 1]], [[False, True], [False, True], [True, False]]
    write_ranks(sums, [1, 1 + RANKS], scores)
    assert sums.tolist() == [7, 4, 1, 2, 1, 2, 2, 1, 4 / 3]


def test_bytes_and_back():
    scores = np.zeros((4, 3), SCORE)
    scores["score"] = np.arange(12).reshape(4, 3)
    assert as_bytes(scores).nbytes == 5 * 12
    assert from_bytes(as_bytes(scores), 3).tolist() == scores.tolist()
    with pytest.raises(ValueError, match="buffer size"):
        from_bytes(as_bytes(scores)[:-1], 3)
