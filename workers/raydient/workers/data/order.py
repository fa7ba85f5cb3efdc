"""Which rows are held out, and the order in which the others are visited."""

import numpy as np
from numpy.typing import NDArray

from raydient.workers.streams import Purpose, stream


def epoch_order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """The order of an epoch's samples: a permutation of `range(rows)` that depends on (seed, epoch) only."""
    return stream(Purpose.EPOCH, seed, epoch).permutation(rows)


def split_rows(seed: int, rows: int, test: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The training part and the held-out part of `range(rows)`, both ascending.

    round(rows · test) rows are held out, at least one if `test` is above 0; the seed says which.
    """
    held_out = max(1, round(rows * test)) if test > 0 else 0
    order = stream(Purpose.SPLIT, seed).permutation(rows)
    return np.sort(order[held_out:]), np.sort(order[:held_out])
