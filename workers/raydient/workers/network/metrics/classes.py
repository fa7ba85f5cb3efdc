"""Metrics on labels that are classes."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.steps.scores import RANKS, Scores

from .metric import CLASSES, TWO_CLASSES, Metric, Sums


class _Counts(Metric):
    """True positives, predicted positives and positives: of each class, or of class 1 where there are two.

    With several classes the value is the macro average: the unweighted mean over the classes that occur among the
    labels or the predictions. Of these, a class that is never predicted has precision 0, and a class that is never a
    label has recall 0.
    """

    losses = CLASSES | TWO_CLASSES

    def __init__(self, settings: Any, loss: str, outputs: Floats, labels: AnyArray) -> None:
        super().__init__(settings, loss, outputs, labels)
        rows = len(outputs)
        self._predicted, self._true = np.zeros(rows, np.intp), np.zeros(rows, np.intp)
        self._hit = np.zeros(rows)

    @classmethod
    def size(cls, loss: str, outputs: int) -> int:
        return 3 * outputs

    def count(self, sums: Sums) -> None:
        predicted, true, hit = self._predicted, self._true, self._hit
        classes = len(sums) // 3
        if self.loss in TWO_CLASSES:
            np.greater(self.outputs[:, 0], 0, out=predicted, casting="unsafe")
            np.copyto(true, self.labels[:, 0], casting="unsafe")
        else:
            np.argmax(self.outputs, axis=1, out=predicted)
            true_classes(self.labels, true)
        np.equal(predicted, true, out=hit, casting="unsafe")
        kinds = max(classes, 2)
        sums[:classes] = np.bincount(true, hit, kinds)[-classes:]
        sums[classes : 2 * classes] = np.bincount(predicted, minlength=kinds)[-classes:]
        sums[2 * classes :] = np.bincount(true, minlength=kinds)[-classes:]

    @classmethod
    def finish(cls, sums: Sums, rows: float) -> float:
        hits, predicted, true = np.asarray(sums).reshape(3, -1)
        seen = predicted + true > 0
        if not seen.any():
            return 0.0  # of two classes, class 1 neither occurs nor is predicted
        above, below = cls.share(hits[seen], predicted[seen], true[seen])
        return float(np.mean(above / np.maximum(below, 1)))  # a denominator of 0 has a numerator of 0

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
    """How often the true class is among the k with the largest outputs; of equal outputs the first counts as larger."""

    losses = CLASSES

    def __init__(self, settings: Any, loss: str, outputs: Floats, labels: AnyArray) -> None:
        super().__init__(settings, loss, outputs, labels)
        rows, classes = outputs.shape
        self._columns, self._starts = np.arange(classes), np.arange(rows) * classes
        self._true, self._place = np.zeros((rows, 1), np.intp), np.zeros(rows, np.intp)
        self._at_label = np.zeros((rows, 1), outputs.dtype)
        self._larger, self._equal, self._first = (np.zeros(outputs.shape, np.bool_) for _ in range(3))

    @classmethod
    def size(cls, loss: str, outputs: int) -> int:
        return 1

    def count(self, sums: Sums) -> None:
        true_classes(self.labels, self._true[:, 0])
        np.add(self._starts, self._true[:, 0], out=self._place)
        np.take(self.outputs.reshape(-1), self._place, out=self._at_label[:, 0], mode="clip")
        np.greater(self.outputs, self._at_label, out=self._larger)
        np.equal(self.outputs, self._at_label, out=self._equal)
        np.less(self._columns, self._true, out=self._first)
        np.logical_and(self._equal, self._first, out=self._equal)
        np.logical_or(self._larger, self._equal, out=self._larger)
        np.add.reduce(self._larger, axis=1, out=self._place)
        np.less(self._place, self.settings.k, out=self._first[:, 0])
        sums[0] = np.count_nonzero(self._first[:, 0])

    @classmethod
    def finish(cls, sums: Sums, rows: float) -> float:
        return float(sums[0]) / rows


class Auc(Metric):
    """Area under the receiver operating characteristic: how often a row of class 1 scores above one of class 0.

    Exact (Mann and Whitney 1947): pairs of equal scores count one half. The score is the output before the sigmoid, in
    float32, because the sigmoid maps different outputs to the same probability.
    """

    losses = TWO_CLASSES
    ranks = True

    def __init__(self, settings: Any, loss: str, outputs: Floats, labels: AnyArray) -> None:
        super().__init__(settings, loss, outputs, labels)
        self.scores: Scores

    @classmethod
    def size(cls, loss: str, outputs: int) -> int:
        return RANKS

    def count(self, sums: Sums) -> None:
        sums.fill(0)  # filled by `write_ranks` when the epoch is complete
        np.copyto(self.scores["score"], self.outputs[:, 0], casting="same_kind")
        np.not_equal(self.labels[:, 0], 0, out=self.scores["positive"])

    @classmethod
    def finish(cls, sums: Sums, rows: float) -> float:
        twice_above, positives, negatives = sums
        pairs = positives * negatives
        return float(twice_above / (2 * pairs)) if pairs else 0.5


def true_classes(labels: AnyArray, out: NDArray[np.intp]) -> None:
    """Write the class of each row to `out`, from labels that are class indices or a probability for each class."""
    if labels.ndim == 1:
        np.copyto(out, labels)
    else:
        np.argmax(labels, axis=1, out=out)
