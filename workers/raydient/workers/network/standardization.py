"""Standardization: shift each feature to mean 0 and scale it to variance 1, by figures of the training part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1024
"""Rows that are standardized at a time, so that the float64 intermediate stays small."""


class ScalingError(ValueError):
    """A feature that float64 cannot standardize.

    Attributes:
        place: place of the feature in a sample.
    """

    def __init__(self, place: tuple[int, ...], message: str) -> None:
        super().__init__(message)
        self.place = place


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
        """Mean and (population) standard deviation over the rows of `x` (n, *shape), n > 0; a constant has scale 1.

        Raises:
            ScalingError: a feature's values are too far apart, or too close together, for float64.
        """
        low, high = np.asarray(x.min(axis=0), np.float64), np.asarray(x.max(axis=0), np.float64)
        # values are compared because the rounding of a constant's mean would pass for variance
        constant = np.asarray(x.min(axis=0) == x.max(axis=0))
        mean, deviation = _moments(x, np.maximum(np.abs(low), np.abs(high)))
        with np.errstate(over="ignore"):
            too_far = ~np.isfinite(high - low)
        too_close = ~constant & (deviation < np.finfo(np.float64).tiny)
        for wrong, reason in ((too_far, "too far apart"), (too_close, "too close together")):
            if wrong.any():
                place = tuple(int(i) for i in np.argwhere(wrong)[0])
                text = f"its values, {low[place]} to {high[place]}, are {reason} to be standardized in float64"
                raise ScalingError(place, text)
        return cls(np.where(constant, x[0].astype(np.float64), mean), np.where(constant, 1.0, deviation))

    def apply(self, x: NDArray[np.number]) -> NDArray[np.float32]:
        """Standardize `x` (n, *shape), of any numeric type, into a new array: computed in float64, rounded once."""
        scaled = np.empty(x.shape, np.float32)
        for start in range(0, len(x), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            scaled[rows] = (x[rows].astype(np.float64, copy=False) - self.mean) / self.scale
        return scaled


def _moments(x: NDArray[np.number], largest: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each feature, in two passes; `largest` is the largest magnitude of each.

    Features whose sum or squares could leave the range of float64 are multiplied by a power of two first, which changes
    no digit.
    """
    is_extreme = (largest > 1e100) | ((largest < 1e-100) & (largest > 0))
    if is_extreme.any():
        exponent = np.where(is_extreme, np.frexp(largest)[1], 0)
        mean, deviation = _moments(np.ldexp(x.astype(np.float64), -exponent), np.ldexp(largest, -exponent))
        return np.ldexp(mean, exponent), np.ldexp(deviation, exponent)
    mean = np.asarray(x.mean(axis=0, dtype=np.float64))
    squares = np.zeros_like(mean)
    for start in range(0, len(x), BLOCK_ROWS):
        squares += np.square(x[start : start + BLOCK_ROWS] - mean).sum(axis=0)
    return mean, np.sqrt(squares / len(x))
