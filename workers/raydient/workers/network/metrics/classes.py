"""Metrics on labels that are classes."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray
from raydient.steps.scores import RANKS, Scores
from raydient.workers.network.losses import Loss

from .metric import CLASSES, TWO_CLASSES, Metric, Sums


class _Counts(Metric):
    """True positives, predicted positives and positives: of each class, or of class 1 of each output of a loss of two.

    They are counted over all rows and positions. With several classes or outputs the value is the average of the
    settings over those that occur among the labels or the predictions: macro is the unweighted mean, weighted the mean
    with the number of a class's labels as its weight, micro the value of the summed counts. Of these, a class that is
    never predicted has precision 0, and a class that is never a label has recall 0.
    """

    losses = CLASSES | TWO_CLASSES

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        places = len(self.outputs)
        if kind in TWO_CLASSES:
            units = loss.labels.shape[-1]
            self._by_unit = self.outputs.reshape(-1, units), self.labels.reshape(-1, units)
            self._is_predicted, self._is_true = np.zeros((2, places // units, units), np.bool_)
            return
        self._predicted, self._true = np.zeros(places, np.intp), np.zeros(places, np.intp)
        self._hit = np.zeros(places)
        self._is_skipped = np.zeros(places, np.bool_)

    @classmethod
    def size(cls, loss: str, outputs: int) -> int:
        return 3 * outputs

    def count(self, sums: Sums) -> None:
        count = self._count_units if self.kind in TWO_CLASSES else self._count_classes
        count(*sums.reshape(3, -1))

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
        if settings.average.kind == "micro":
            counts = counts.sum(axis=1, keepdims=True)
        _, predicted, true = counts
        seen = predicted + true > 0
        if not seen.any():
            return 0.0  # of two classes, class 1 neither occurs nor is predicted
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
    def size(cls, loss: str, outputs: int) -> int:
        return 2

    def count(self, sums: Sums) -> None:
        true_classes(self.labels, self._true[:, 0])
        np.maximum(self._true, 0, out=self._true)  # places that do not count have any class
        np.add(self._starts, self._true[:, 0], out=self._place)
        np.take(self.outputs.reshape(-1), self._place, out=self._at_label[:, 0], mode="clip")
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


class Ranking(Metric):
    """A metric of the ranks of all rows of an epoch by the output before the sigmoid.

    The output is taken in float32, because the sigmoid maps different outputs to the same probability.
    """

    losses = TWO_CLASSES
    ranks = True

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        self.scores: Scores

    @classmethod
    def size(cls, loss: str, outputs: int) -> int:
        return RANKS

    def count(self, sums: Sums) -> None:
        sums.fill(0)  # filled by `write_ranks` when the epoch is complete
        np.copyto(self.scores["score"], self.outputs[:, 0], casting="same_kind")
        np.not_equal(self.labels[:, 0], 0, out=self.scores["positive"])


class Auc(Ranking):
    """Area under the receiver operating characteristic: how often a row of class 1 scores above one of class 0.

    Exact (Mann and Whitney 1947): pairs of equal scores count one half.
    """

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        twice_above, positives, negatives, _ = sums
        pairs = positives * negatives
        return float(twice_above / (2 * pairs)) if pairs else 0.5


class AveragePrecision(Ranking):
    """Precision averaged over the rows of class 1, each among the rows that score as high or higher; 0 without any.

    This is Σ_n (R_n - R_n-1) P_n over the thresholds n, with recall R and precision P (Zhu 2004); nothing is
    interpolated. The counts are exact, and the sum of their quotients is within 1e-12.
    """

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        _, positives, _, precisions = sums
        return float(precisions / positives) if positives else 0.0


def true_classes(labels: AnyArray, out: NDArray[np.intp]) -> None:
    """Write the class of each place to `out`, from labels that are class indices or a probability for each class."""
    if labels.ndim == 1:
        np.copyto(out, labels)
    else:
        np.argmax(labels, axis=1, out=out)
