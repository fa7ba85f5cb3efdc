"""Metrics on labels that are classes."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray
from raydient.workers.network.losses import Loss

from .metric import CLASSES, TWO_CLASSES, Metric, Sums


class _Counts(Metric):
    """True positives, predicted positives and positives: of each class, or of class 1 of each output of a loss of two.

    They are counted over all rows and positions. The average of the settings is over the classes or outputs that occur
    among the labels or the predictions: macro is the unweighted mean, weighted the mean with the number of a class's
    labels as its weight, micro the value of the summed counts. Of these, a class that is never predicted has precision
    0, and a class that is never a label has recall 0. `binary` is the value of class 1 of two; of a loss of two with
    one output, class 0 is counted for the averages alone.
    """

    losses = CLASSES | TWO_CLASSES

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        places = len(self.outputs)
        if kind in TWO_CLASSES:
            units = loss.labels.shape[-1]
            self._by_unit = self.outputs.reshape(-1, units), self.labels.reshape(-1, units)
            self._is_predicted, self._is_true = np.zeros((2, places // units, units), np.bool_)
            self._has_class_0 = units == 1 and settings.average.kind != "binary"
            return
        self._predicted, self._true = np.zeros(places, np.intp), np.zeros(places, np.intp)
        self._hit = np.zeros(places)
        self._is_skipped = np.zeros(places, np.bool_)

    @classmethod
    def size(cls, settings: Any, loss: str, outputs: int) -> int:
        has_class_0 = loss in TWO_CLASSES and outputs == 1 and settings.average.kind != "binary"
        return 3 * (2 if has_class_0 else outputs)

    def count(self, sums: Sums) -> None:
        counts = sums.reshape(3, -1)
        if self.kind in CLASSES:
            self._count_classes(*counts)
        elif self._has_class_0:
            self._count_units(*counts[:, 1:])
            hits, predicted, true = counts[:, 1]
            places = len(self.outputs)
            counts[:, 0] = places - predicted - true + hits, places - predicted, places - true
        else:
            self._count_units(*counts)

    def _count_classes(self, hits: Sums, predicted: Sums, true: Sums) -> None:
        """Count each class. Places that do not count belong to one class more."""
        classes = len(hits)
        np.argmax(self.outputs, axis=1, out=self._predicted)
        true_classes(self.labels, self._true)
        np.less(self._true, 0, out=self._is_skipped)
        np.copyto(self._true, classes, where=self._is_skipped)
        np.copyto(self._predicted, classes, where=self._is_skipped)
        np.equal(self._predicted, self._true, out=self._hit, casting="unsafe")
        hits[:] = np.bincount(self._true, self._hit, classes + 1)[:classes]
        predicted[:] = np.bincount(self._predicted, minlength=classes + 1)[:classes]
        true[:] = np.bincount(self._true, minlength=classes + 1)[:classes]

    def _count_units(self, hits: Sums, predicted: Sums, true: Sums) -> None:
        """Count the class 1 at each unit, over rows and positions."""
        outputs, labels = self._by_unit
        np.greater(outputs, 0, out=self._is_predicted)
        np.not_equal(labels, 0, out=self._is_true)
        np.add.reduce(self._is_predicted, axis=0, dtype=np.float64, out=predicted)
        np.add.reduce(self._is_true, axis=0, dtype=np.float64, out=true)
        np.logical_and(self._is_predicted, self._is_true, out=self._is_true)
        np.add.reduce(self._is_true, axis=0, dtype=np.float64, out=hits)

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        counts = np.asarray(sums).reshape(3, -1)
        if settings.average.kind == "binary":
            counts = counts[:, -1:]
        if settings.average.kind == "micro":
            counts = counts.sum(axis=1, keepdims=True)
        _, predicted, true = counts
        seen = predicted + true > 0
        if not seen.any():
            return 0.0  # class 1 neither occurs nor is predicted
        above, below = cls.share(*counts[:, seen])
        values = above / np.maximum(below, 1)  # a denominator of 0 has a numerator of 0
        if settings.average.kind == "weighted":
            return float(np.sum(values * true[seen]) / max(np.sum(true), 1))
        return float(np.mean(values))

    @staticmethod
    @abstractmethod
    def share(hits: Sums, predicted: Sums, true: Sums) -> tuple[Sums, Sums]:
        """Numerator and denominator of each class."""


class Precision(_Counts):
    """Share of a class's predictions that are right."""

    @staticmethod
    def share(hits: Sums, predicted: Sums, true: Sums) -> tuple[Sums, Sums]:
        return hits, predicted


class Recall(_Counts):
    """Share of a class's rows that are predicted as this class."""

    @staticmethod
    def share(hits: Sums, predicted: Sums, true: Sums) -> tuple[Sums, Sums]:
        return hits, true


class F1(_Counts):
    """The harmonic mean of precision and recall of a class (van Rijsbergen 1979)."""

    @staticmethod
    def share(hits: Sums, predicted: Sums, true: Sums) -> tuple[Sums, Sums]:
        return 2 * hits, predicted + true


class TopK(Metric):
    """How often the true class is among the k with the largest outputs; of equal outputs the first counts as larger.

    Of several positions of a sample it is their mean. If `weighted` it is the mean over the rows by their weights.
    """

    losses = CLASSES

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        self._loss, self._of_rows = loss, loss.places
        self._weights = np.ones(len(loss.labels)) if settings.weighted else None
        places, classes = self.outputs.shape
        self._columns, self._starts = np.arange(classes), np.arange(places) * classes
        self._true, self._place = np.zeros((places, 1), np.intp), np.zeros(places, np.intp)
        self._at_label = np.zeros((places, 1), self.outputs.dtype)
        self._larger, self._equal, self._first = (np.zeros(self.outputs.shape, np.bool_) for _ in range(3))
        self._hit = np.zeros(places, np.bool_)

    @classmethod
    def size(cls, settings: Any, loss: str, outputs: int) -> int:
        return 2

    def count(self, sums: Sums) -> None:
        true_classes(self.labels, self._true[:, 0])
        np.maximum(self._true, 0, out=self._true)  # places that do not count have any class
        np.add(self._starts, self._true[:, 0], out=self._place)
        self.outputs.reshape(-1).take(self._place, out=self._at_label[:, 0], mode="clip")
        np.greater(self.outputs, self._at_label, out=self._larger)
        np.equal(self.outputs, self._at_label, out=self._equal)
        np.less(self._columns, self._true, out=self._first)
        np.logical_and(self._equal, self._first, out=self._equal)
        np.logical_or(self._larger, self._equal, out=self._larger)
        np.add.reduce(self._larger, axis=1, out=self._place)
        np.less(self._place, self.settings.k, out=self._hit)
        if self._weights is None:
            sums[:] = self._of_rows.sum_of_means(self._hit), len(self._loss.labels)
            return
        if self._loss.sample_weights is not None:
            np.copyto(self._weights, self._loss.sample_weights)
        sums[:] = self._of_rows.weighted_sum_of_means(self._hit, self._weights), np.add.reduce(self._weights)

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        hits, weight = sums
        return float(hits / weight) if weight else 0.0


def true_classes(labels: AnyArray, out: NDArray[np.intp]) -> None:
    """Write the class of each place to `out`, from labels that are class indices or a probability for each class."""
    if labels.ndim == 1:
        np.copyto(out, labels)
    else:
        np.argmax(labels, axis=1, out=out)
