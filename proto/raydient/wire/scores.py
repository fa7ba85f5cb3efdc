"""Scores of rows that are ranked over a whole epoch, as the area under a curve of true and false positives needs.

How often a row of class 1 scores above one of class 0 depends on every pair of rows, so it is no sum over rows, and a
histogram of scores is exact for no number of bins. Workers hand over the scores themselves, 5 bytes a row, and the
parameter server ranks them when the epoch is complete. Order does not matter, so the result depends on no division of
the rows among workers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORE = np.dtype([("score", "<f4"), ("positive", "?")])
"""Of one row: the network's output and whether the label is class 1."""

Scores = NDArray[Any]
"""Values of type `SCORE`, one for each row, or (rows, metrics that rank)."""

EPOCH_SCORES = "epoch_scores"
"""Name of the array of bytes, beside weights and optimizer state, that holds the scores of an unfinished epoch."""

RANKS = 3
"""Numbers that `rank` gives."""


def rank(scores: Scores) -> tuple[int, int, int]:
    """Compare each positive row of `scores` (rows,) with each negative one.

    Returns:
        Twice the number of pairs in which the positive row scores higher, pairs of equal scores counting one; positive
        rows; negative rows.
    """
    positives = np.sort(scores["score"][scores["positive"]])
    negatives = np.sort(scores["score"][~scores["positive"]])
    above = sum(int(np.searchsorted(negatives, positives, side).sum()) for side in ("left", "right"))
    return above, len(positives), len(negatives)


def write_ranks(sums: NDArray[np.float64], places: Sequence[int], scores: Scores) -> None:
    """Overwrite the sums from each of `places` on with the ranks of that column of `scores`, (rows, len(places))."""
    for column, place in enumerate(places):
        sums[place : place + RANKS] = rank(scores[:, column])


def from_bytes(data: Any, metrics: int) -> Scores:
    """The scores (rows, metrics) in a buffer. ValueError if its size is no whole number of rows."""
    return np.frombuffer(data, SCORE).reshape(-1, metrics)


def as_bytes(scores: Scores) -> NDArray[np.uint8]:
    """The bytes of contiguous scores, as a view."""
    return scores.reshape(-1).view(np.uint8)
