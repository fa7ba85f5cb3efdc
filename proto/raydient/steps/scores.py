"""Scores of rows that are ranked over a whole epoch: for the area under the receiver operating characteristic, and for
average precision.

Neither the number of pairs in which a row of class 1 scores above one of class 0 nor the precision among the rows above
a score is a sum over rows, and a histogram of scores gives them only approximately. Workers therefore send the scores
themselves, 5 bytes a row, and the parameter server ranks them when the epoch is complete. The order of rows does not
matter, so the result does not depend on how the rows are divided among workers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORE = np.dtype([("score", "<f4"), ("positive", "?")])
"""Type of the score of one row: the output of the network, and True if the label is class 1."""

Scores = NDArray[Any]
"""Values of type `SCORE`: (rows,), or (rows, metrics that rank)."""

EPOCH_SCORES = "epoch_scores"
"""Name of the array of bytes, beside weights and optimizer state, that holds the scores of an unfinished epoch."""

RANKS = 4
"""Number of values that `rank` returns."""


def rank(scores: Scores) -> tuple[int, int, int, float]:
    """Compare each positive row of `scores` (rows,) with all others.

    Returns:
        Twice the number of pairs in which the positive row scores higher than a negative one, pairs of equal scores
        counting one; positive rows; negative rows; for each positive row the share of positive rows among those that
        score as high or higher, summed. All but the last are exact. It is a sum of quotients of exact counts, within
        1e-12 of its value, and does not depend on the order of the rows.
    """
    positives = np.sort(scores["score"][scores["positive"]])
    negatives = np.sort(scores["score"][~scores["positive"]])
    above = sum(int(np.searchsorted(negatives, positives, side).sum()) for side in ("left", "right"))
    reached = len(positives) - np.searchsorted(positives, positives)
    all_reached = reached + (len(negatives) - np.searchsorted(negatives, positives))
    return above, len(positives), len(negatives), float(np.add.reduce(reached / all_reached))


def write_ranks(sums: NDArray[np.float64], places: Sequence[int], scores: Scores) -> None:
    """Store the ranks of each column of `scores`, (rows, len(places)), in `sums` from the column's place on."""
    for column, place in enumerate(places):
        sums[place : place + RANKS] = rank(scores[:, column])


def from_bytes(data: Any, metrics: int) -> Scores:
    """View a buffer as scores (rows, metrics). ValueError if its size is not a whole number of rows."""
    return np.frombuffer(data, SCORE).reshape(-1, metrics)


def as_bytes(scores: Scores) -> NDArray[np.uint8]:
    """View contiguous scores as bytes."""
    return scores.reshape(-1).view(np.uint8)
