"""Metrics besides the loss: each computes sums over rows, which the reduction tree adds up, and a value from them.

A metric has no other state than these sums and, if it ranks rows, their scores (`wire.scores`). So its value does not
depend on which worker computed which rows.
"""

from abc import ABC, abstractmethod
from math import sqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from raydient.spec import metrics as spec
from raydient.steps.scores import RANKS, Scores

Array = NDArray[np.floating]
Sums = NDArray[np.float64]
CLASSES = frozenset({"softmax_cross_entropy"})
TWO_CLASSES = frozenset({"binary_cross_entropy", "hinge"})
NUMBERS = frozenset({"sum_squared_error", "mean_squared_error", "mean_absolute_error", "huber", "poisson"})


class Metric(ABC):
    """A metric of one program: `outputs` (rows, k) is what the last layer computes, `labels` what the loss takes.

    Attributes:
        losses: kinds of loss that it can be used with.
        ranks: True if it needs the rank of each row among all rows of an epoch. Its sums are then those of
            `wire.scores.rank`, and it fills `scores` (rows,) with the rows' scores.
    """

    losses: ClassVar[frozenset[str]]
    ranks: ClassVar[bool] = False

    def __init__(self, settings: Any, loss: str, outputs: Array, labels: NDArray[Any]) -> None:
        self.settings, self.loss, self.outputs, self.labels = settings, loss, outputs, labels

    @classmethod
    @abstractmethod
    def size(cls, loss: str, outputs: int) -> int:
        """Number of sums for this number of outputs."""

    @abstractmethod
    def count(self, sums: Sums) -> None:
        """Overwrite `sums` with those over the rows."""

    @classmethod
    @abstractmethod
    def finish(cls, sums: Sums, rows: float) -> float:
        """The value of the metric for the sums over `rows` rows; finite for any sums that `count` can give."""


class _Counts(Metric):
    """True positives, predicted positives and positives: of each class, or of class 1 where there are two.

    With several classes the value is the macro average: the unweighted mean over the classes that occur among the
    labels or the predictions. Of these, a class that is never predicted has precision 0, and a class that is never a
    label has recall 0.
    """

    losses = CLASSES | TWO_CLASSES

    def __init__(self, settings: Any, loss: str, outputs: Array, labels: NDArray[Any]) -> None:
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

    def __init__(self, settings: Any, loss: str, outputs: Array, labels: NDArray[Any]) -> None:
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

    def __init__(self, settings: Any, loss: str, outputs: Array, labels: NDArray[Any]) -> None:
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


class _Errors(Metric):
    losses = NUMBERS

    def __init__(self, settings: Any, loss: str, outputs: Array, labels: NDArray[Any]) -> None:
        super().__init__(settings, loss, outputs, labels)
        self._error = np.zeros(outputs.shape)

    def _square(self) -> Sums:
        """The squared errors."""
        error = self._error
        np.copyto(error, self.outputs)
        if self.loss == "poisson":
            np.exp(error, out=error)
        np.subtract(error, self.labels, out=error)
        np.multiply(error, error, out=error)
        return error


class RootMeanSquaredError(_Errors):
    """The root of the mean of squared errors, over rows and outputs."""

    @classmethod
    def size(cls, loss: str, outputs: int) -> int:
        return 1

    def count(self, sums: Sums) -> None:
        squares = self._square()
        sums[0] = np.add.reduce(squares, axis=None) / squares.shape[1]

    @classmethod
    def finish(cls, sums: Sums, rows: float) -> float:
        return sqrt(sums[0] / rows)


class R2(_Errors):
    """1 - squared errors / squared distances of the labels from their mean, averaged over outputs.

    An output with equal labels counts 0. Distances are summed from `center`, and the square of their mean is
    subtracted: any center gives the same value, and a center near the labels' mean loses no digits.

    Attributes:
        center: (outputs,), filled by the caller; 0 at first.
    """

    def __init__(self, settings: Any, loss: str, outputs: Array, labels: NDArray[Any]) -> None:
        super().__init__(settings, loss, outputs, labels)
        self.center = np.zeros(outputs.shape[1])

    @classmethod
    def size(cls, loss: str, outputs: int) -> int:
        return 3 * outputs

    def count(self, sums: Sums) -> None:
        errors, distances, squares = sums.reshape(3, -1)
        np.add.reduce(self._square(), axis=0, out=errors)
        np.subtract(self.labels, self.center, out=self._error)
        np.add.reduce(self._error, axis=0, out=distances)
        np.multiply(self._error, self._error, out=self._error)
        np.add.reduce(self._error, axis=0, out=squares)

    @classmethod
    def finish(cls, sums: Sums, rows: float) -> float:
        errors, distances, squares = np.asarray(sums).reshape(3, -1)
        spread = squares - distances * distances / rows
        known = spread > 1e-12 * squares  # less is rounding
        return float(np.mean(np.where(known, 1 - errors / np.where(known, spread, 1), 0)))


def true_classes(labels: NDArray[Any], out: NDArray[np.intp]) -> None:
    """Class indices from labels that are some, or probabilities."""
    if labels.ndim == 1:
        np.copyto(out, labels)
    else:
        np.argmax(labels, axis=1, out=out)


METRICS: dict[str, type[Metric]] = {
    "top_k": TopK,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "auc": Auc,
    "root_mean_squared_error": RootMeanSquaredError,
    "r2": R2,
}
BY_LOSSES = {"accuracy": CLASSES | TWO_CLASSES, "mean_absolute_error": NUMBERS}
"""Metrics that losses measure anyhow: of which losses."""


def metric_problem(choice: spec.Metric, loss: str) -> str | None:
    """Why a metric does not go with a loss; None if it does."""
    allowed = BY_LOSSES[choice.kind] if choice.kind in BY_LOSSES else METRICS[choice.kind].losses
    return None if loss in allowed else f"{choice.kind} goes with {', '.join(sorted(allowed))}, not with {loss}"
