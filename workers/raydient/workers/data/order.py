"""The order in which an epoch visits the samples: a function of seed, epoch and number of samples."""

from bisect import bisect_right

import numpy as np

from raydient.workers.streams import Purpose, stream

from .source import Rows

MOST_PERMUTED = 2**24
"""Most samples that are permuted as a whole: 128 MiB of indices in each worker."""
SHARD_ROWS = 2**12
"""Consecutive samples of a data shard, which stay near each other in the order of more samples."""
WINDOW_SHARDS = 2**10
"""Data shards whose samples are permuted together: 32 MiB of indices."""


class EpochOrder:
    """The order of an epoch's samples.

    Up to MOST_PERMUTED samples it is a permutation of all. Of more samples the data shards are permuted, and in this
    order each WINDOW_SHARDS of them are a window, whose samples are permuted. So an epoch reads a window of the data at
    a time, and a worker has the indices of one window. Dropping the shards' permutation would leave the windows of each
    epoch alike; dropping the samples', neighbours would come together in each epoch.
    """

    def __init__(self, seed: int, epoch: int, rows: int) -> None:
        """Compute the order of the shards; that of samples is computed when it is needed."""
        self._key = seed, epoch
        self._is_whole = rows <= MOST_PERMUTED
        shard = max(rows, 1) if self._is_whole else SHARD_ROWS
        first = np.arange(0, rows, shard, dtype=np.int64)
        self._shards = first if self._is_whole else first[stream(Purpose.EPOCH, seed, epoch).permutation(len(first))]
        self._sizes = np.minimum(self._shards + shard, rows) - self._shards
        windows = range(0, len(first), WINDOW_SHARDS)
        self._starts = [0, *np.cumsum([int(self._sizes[w : w + WINDOW_SHARDS].sum()) for w in windows]).tolist()]
        self._window, self._rows = -1, np.empty(0, np.int64)

    def rows(self, start: int, stop: int) -> Rows:
        """Return the samples at some positions of the order, in a view that must not be changed."""
        parts = []
        for window in range(bisect_right(self._starts, start) - 1, len(self._starts) - 1):
            begin, end = self._starts[window], self._starts[window + 1]
            if begin >= stop:
                break
            parts.append(self._permuted(window)[max(start - begin, 0) : min(stop, end) - begin])
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])

    def _permuted(self, window: int) -> Rows:
        """Return the samples of a window in their order; that of the last window is kept."""
        if window != self._window:
            self._window = window
            if self._is_whole:
                self._rows = stream(Purpose.EPOCH, *self._key).permutation(self._starts[-1])
            else:
                where = slice(window * WINDOW_SHARDS, (window + 1) * WINDOW_SHARDS)
                shards = zip(self._shards[where].tolist(), self._sizes[where].tolist(), strict=True)
                samples = np.concatenate([np.arange(first, first + size) for first, size in shards])
                self._rows = stream(Purpose.EPOCH, *self._key, window).permutation(samples)
        return self._rows


def epoch_order(seed: int, epoch: int, rows: int) -> Rows:
    """Return the whole order of an epoch: a permutation of `range(rows)` that depends on (seed, epoch) only."""
    return EpochOrder(seed, epoch, rows).rows(0, rows)
