"""Scores of rows that are ranked over a whole epoch, for the area under the receiver operating characteristic.

The number of pairs in which a row of class 1 scores above one of class 0 is not a sum over rows, and a histogram of
scores gives it only approximately. Workers therefore send the scores themselves, 5 bytes a row, and the parameter
server ranks them when the epoch is complete. The order of rows does not matter, so the result does not depend on how
the rows are divided among workers.
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

RANKS = 3
"""Number of values that `rank` returns."""


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
    """Store the ranks of each column of `scores`, (rows, len(places)), in `sums` from the column's place on."""
    for column, place in enumerate(places):
        sums[place : place + RANKS] = rank(scores[:, column])


def from_bytes(data: Any, metrics: int) -> Scores:
    """View a buffer as scores (rows, metrics). ValueError if its size is not a whole number of rows."""
    return np.frombuffer(data, SCORE).reshape(-1, metrics)


def as_bytes(scores: Scores) -> NDArray[np.uint8]:
    """View contiguous scores as bytes."""
    return scores.reshape(-1).view(np.uint8)
