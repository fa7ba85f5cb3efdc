"""Metrics of the probabilities that a network gives to classes."""

from typing import Any

import numpy as np

from raydient.workers.functions import log1p
from raydient.workers.network.losses import Loss

from .metric import CLASSES, TWO_CLASSES, Metric, Sums


class LogLoss(Metric):
    """The mean of -log of the probability of the true label, over rows, and over the places of a row that count.

    It is the cross-entropy without weights, label smoothing and focus. Of one output per class it is
    log Σ_k exp(y_k - m) - (y_t - m), with m the largest output and t the true class; of one output for each label of
    two classes max(y, 0) - y t + log(1 + exp(-|y|)). Neither overflows nor cancels.
    """

    losses = (TWO_CLASSES | CLASSES) - {"hinge", "kl_divergence"}
    larger_is_better = False

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        places, classes = self.outputs.shape
        self._shares = loss.places.shares
        self._losses = np.zeros(places, self.outputs.dtype)
        self._values = np.zeros_like(self.outputs)
        self._column = np.zeros((places, 1), self.outputs.dtype)
        self._starts, self._at = np.arange(places) * classes, np.zeros(places, np.intp)

    @classmethod
    def size(cls, settings: Any, loss: str, outputs: int) -> int:
        return 1

    def count(self, sums: Sums) -> None:
        if self.kind in CLASSES:
            self._measure_classes()
        else:
            self._measure_units()
        np.multiply(self._losses, self._shares, out=self._losses)
        sums[0] = np.add.reduce(self._losses, dtype=np.float64)

    def _measure_classes(self) -> None:
        values, column, losses = self._values, self._column, self._losses
        np.maximum.reduce(self.outputs, axis=1, keepdims=True, out=column)
        np.subtract(self.outputs, column, out=values)
        if self.labels.ndim == 1:
            np.maximum(self.labels, 0, out=self._at, casting="same_kind")  # places that do not count have any class
            np.add(self._at, self._starts, out=self._at)
            values.reshape(-1).take(self._at, out=losses, mode="clip")  # other modes allocate
        else:
            np.vecdot(self.labels, values, out=losses)
        np.exp(values, out=values)
        np.add.reduce(values, axis=1, keepdims=True, out=column)
        np.log(column, out=column)
        np.subtract(column[:, 0], losses, out=losses)

    def _measure_units(self) -> None:
        values, linear, outputs = self._values, self._column, self.outputs
        np.maximum(outputs, 0, out=linear)
        np.multiply(outputs, self.labels, out=values)
        np.subtract(linear, values, out=linear)
        np.copysign(outputs, -1, out=values)
        np.exp(values, out=values)
        log1p(values, values)
        np.add(linear[:, 0], values[:, 0], out=self._losses)

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        return float(sums[0] / rows)
