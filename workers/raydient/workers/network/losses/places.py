"""The places of a batch's rows: which of them count, and their shares in the means of the rows."""

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.steps.arrays import AnyArray, Floats

SKIPPED = -1
"""Label of a place that does not count."""


class Places:
    """Means over the places of each row that count; a row without any has the mean 0.

    Attributes:
        are_whole_rows: True if each row has one place, which counts.
        shares: (rows · places,), 1 / the number of places of the row that count; 0 at all others.
    """

    def __init__(self, rows: int, places: int, labels: AnyArray, dtype: DTypeLike, *, skips: bool) -> None:
        """Each row has the same number of places.

        Args:
            rows: number of rows.
            places: number of places of a row.
            labels: (rows · places, ...), filled by the caller before `update`.
            dtype: of the shares.
            skips: True if labels may be SKIPPED.
        """
        self._skips, self.are_whole_rows = skips, places == 1 and not skips
        self._labels, by_row = labels, (rows, places)
        self.shares = np.full(rows * places, 1 / places, dtype)
        self._numbers = np.full((rows, 1), places, np.float64)
        self._hits = np.zeros(rows * places, np.bool_).reshape(by_row)
        self._counted = np.ones(by_row, np.bool_)
        self._sums = np.zeros((rows, 1), np.intp)
        self._means = np.zeros((rows, 1))

    def update(self) -> None:
        """Compute the shares from the labels."""
        if self._skips:
            np.not_equal(self._labels.reshape(self._counted.shape), SKIPPED, out=self._counted)
            np.add.reduce(self._counted, axis=1, dtype=np.intp, keepdims=True, out=self._sums)
            np.maximum(self._sums, 1, out=self._sums)
            np.copyto(self._numbers, self._sums)
            np.divide(self._counted, self._numbers, out=self.shares.reshape(self._counted.shape), casting="same_kind")

    def sum_of_means(self, hits: NDArray[np.bool_]) -> float:
        """Return the sum over the rows of the share of places, among those that count, that are hits.

        Args:
            hits: (rows · places,).
        """
        if self.are_whole_rows:
            return float(np.count_nonzero(hits))
        np.logical_and(hits.reshape(self._hits.shape), self._counted, out=self._hits)
        np.add.reduce(self._hits, axis=1, dtype=np.intp, keepdims=True, out=self._sums)
        np.divide(self._sums, self._numbers, out=self._means)
        return float(np.add.reduce(self._means, axis=None))

    def weighted_sum_of_means(self, hits: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
        """Return `sum_of_means` with a weight of each row, (rows,)."""
        self.sum_of_means(hits)
        means = hits[:, np.newaxis] if self.are_whole_rows else self._means
        np.multiply(means, weights[:, np.newaxis], out=self._means)
        return float(np.add.reduce(self._means, axis=None))

    def multiply_rows(self, values: Floats, factors: Floats) -> None:
        """Multiply the values of places, (rows · places,), by a factor of each row, (rows,), in place."""
        by_row = values.reshape(self._counted.shape)
        np.multiply(by_row, factors[:, np.newaxis], out=by_row)
