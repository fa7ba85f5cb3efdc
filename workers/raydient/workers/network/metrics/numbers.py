"""Metrics on labels that are numbers."""

from math import sqrt
from typing import Any

import numpy as np

from raydient.workers.functions import rates
from raydient.workers.network.losses import Loss

from .metric import NUMBERS, Metric, Sums


class _Errors(Metric):
    losses = NUMBERS

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        self._error, self._unit = np.zeros(self.outputs.shape), loss.unit

    def _square(self) -> Sums:
        """The squared errors."""
        error = self._error
        if self.kind == "poisson":
            rates(self.outputs, error)
        else:
            np.copyto(error, self.outputs)
        np.subtract(error, self.labels, out=error)
        np.multiply(error, error, out=error)
        return error


class RootMeanSquaredError(_Errors):
    """The root of the mean of squared errors, over rows and outputs together."""

    larger_is_better = False

    @classmethod
    def size(cls, settings: Any, loss: str, outputs: int) -> int:
        return 1

    def count(self, sums: Sums) -> None:
        squares = self._square()
        if self._unit is not None:
            np.multiply(squares, np.square(self._unit), out=squares)
        sums[0] = np.add.reduce(squares, axis=None) / squares.shape[1]

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        return sqrt(sums[0] / rows)


class R2(_Errors):
    """1 - squared errors / squared distances of the labels from their mean, averaged over outputs.

    An output with equal labels counts 0. Distances are summed from `center`, and the square of their mean is
    subtracted: any center gives the same value, and a center near the labels' mean loses no digits.

    Attributes:
        center: (outputs,), filled by the caller; 0 at first.
    """

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        self.center = np.zeros(self.outputs.shape[1])

    @classmethod
    def size(cls, settings: Any, loss: str, outputs: int) -> int:
        return 3 * outputs

    def count(self, sums: Sums) -> None:
        errors, distances, squares = sums.reshape(3, -1)
        np.add.reduce(self._square(), axis=0, out=errors)
        np.subtract(self.labels, self.center, out=self._error)
        np.add.reduce(self._error, axis=0, out=distances)
        np.multiply(self._error, self._error, out=self._error)
        np.add.reduce(self._error, axis=0, out=squares)

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        errors, distances, squares = np.asarray(sums).reshape(3, -1)
        spread = squares - distances * distances / rows
        known = spread > 1e-12 * squares  # less is rounding
        return float(np.mean(np.where(known, 1 - errors / np.where(known, spread, 1), 0)))
