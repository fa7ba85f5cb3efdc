"""Standardization: each feature shifted to mean 0 and scaled to variance 1, by figures of the training part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1024
"""Rows standardized at a time, so that the float64 intermediate stays small."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """x → (x - mean) / scale for each feature.

    Attributes:
        mean, scale: float64, of one sample's shape; scale is never 0.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[np.number]) -> "Scaling":
        """Mean and (population) standard deviation over the rows of `x` (n, *shape), n > 0; a constant has scale 1."""
        mean = x.mean(axis=0, dtype=np.float64)
        squares = np.zeros_like(mean)
        for start in range(0, len(x), BLOCK_ROWS):
            squares += np.square(x[start : start + BLOCK_ROWS] - mean).sum(axis=0)
        deviation = np.sqrt(squares / len(x))
        # values are compared because the rounding of a constant's mean would pass for variance
        constant = (x.max(axis=0) == x.min(axis=0)) | (deviation == 0)
        return cls(np.where(constant, x[0], mean), np.where(constant, 1.0, deviation))

    def apply(self, x: NDArray[np.number]) -> NDArray[np.float32]:
        """Standardize `x` (n, *shape), of any numeric type, into a new array: computed in float64, rounded once."""
        scaled = np.empty(x.shape, np.float32)
        for start in range(0, len(x), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            scaled[rows] = (x[rows] - self.mean) / self.scale
        return scaled
