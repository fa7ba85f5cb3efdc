"""The order in which an epoch visits the samples: a function of seed, epoch and number of samples."""

from bisect import bisect_right

import numpy as np

from raydient.workers.streams import Purpose, stream

from .source import Rows

MOST_PERMUTED = 2**24
"""Most samples that are permuted as a whole: 128 MiB of indices in each worker."""
BLOCK_ROWS = 2**12
"""Consecutive samples of a block, which stay near each other in the order of more samples."""
WINDOW_BLOCKS = 2**10
"""Blocks whose samples are permuted together: 32 MiB of indices."""


class EpochOrder:
    """The order of an epoch's samples.

    Up to MOST_PERMUTED samples it is a permutation of all. Of more samples blocks are permuted, and in this order each
    WINDOW_BLOCKS of them are a window, whose samples are permuted. So an epoch reads a window of the data at a time,
    and a worker has the indices of two: those of the samples that it needs and, at the end of a window, of those that
    it expects. Dropping the blocks' permutation would leave the windows of each epoch alike; dropping the samples',
    neighbours would come together in each epoch.
    """

    def __init__(self, seed: int, epoch: int, rows: int) -> None:
        """Compute the order of the blocks; that of samples is computed when it is needed."""
        self._key = seed, epoch
        self._is_whole = rows <= MOST_PERMUTED
        block = max(rows, 1) if self._is_whole else BLOCK_ROWS
        first = np.arange(0, rows, block, dtype=np.int64)
        self._blocks = first if self._is_whole else first[stream(Purpose.EPOCH, seed, epoch).permutation(len(first))]
        self._sizes = np.minimum(self._blocks + block, rows) - self._blocks
        windows = range(0, len(first), WINDOW_BLOCKS)
        self._starts = [0, *np.cumsum([int(self._sizes[w : w + WINDOW_BLOCKS].sum()) for w in windows]).tolist()]
        self._windows: dict[int, Rows] = {}  # the last two that were computed

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
        """Return the samples of a window in their order."""
        if window not in self._windows:
            for older in list(self._windows)[:-1]:
                del self._windows[older]
            self._windows[window] = self._computed(window)
        return self._windows[window]

    def _computed(self, window: int) -> Rows:
        if self._is_whole:
            return stream(Purpose.EPOCH, *self._key).permutation(self._starts[-1])
        where = slice(window * WINDOW_BLOCKS, (window + 1) * WINDOW_BLOCKS)
        blocks = zip(self._blocks[where].tolist(), self._sizes[where].tolist(), strict=True)
        samples = np.concatenate([np.arange(first, first + size) for first, size in blocks])
        return stream(Purpose.EPOCH, *self._key, window).permutation(samples)


def epoch_order(seed: int, epoch: int, rows: int) -> Rows:
    """Return the whole order of an epoch: a permutation of `range(rows)` that depends on (seed, epoch) only."""
    return EpochOrder(seed, epoch, rows).rows(0, rows)
