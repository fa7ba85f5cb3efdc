"""Metrics of the ranks of rows, of two classes or of labels that do not exclude each other."""

from typing import Any

import numpy as np

from raydient.steps.scores import RANKS, Scores
from raydient.workers.network.losses import Loss

from .classes import true_classes
from .metric import CLASSES, TWO_CLASSES, Metric, Sums


class Ranking(Metric):
    """A metric of the ranks of all rows of an epoch by the logit of class 1, in a column for each label.

    The logit is taken in float32, because the sigmoid maps different ones to the same probability: the output before
    the sigmoid, or of two outputs before the softmax their difference. The sums are those of `steps.scores.rank` for
    each column.

    Attributes:
        scores: (rows, columns), of type `steps.scores.SCORE`; set by the caller, filled by `count`.
    """

    losses = TWO_CLASSES | CLASSES - {"kl_divergence"}
    ranks = True

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        super().__init__(settings, kind, loss)
        self.scores: Scores
        rows = len(loss.labels)
        self._has_two_outputs = kind in CLASSES
        self._true = np.zeros(rows if self._has_two_outputs else 0, np.intp)
        if not self._has_two_outputs:
            self.outputs, self.labels = self.outputs.reshape(rows, -1), self.labels.reshape(rows, -1)

    @staticmethod
    def columns(loss: str, outputs: int) -> int:
        """Number of columns of scores for this number of outputs."""
        return 1 if loss in CLASSES else outputs

    @classmethod
    def size(cls, settings: Any, loss: str, outputs: int) -> int:
        return RANKS * cls.columns(loss, outputs)

    def count(self, sums: Sums) -> None:
        sums.fill(0)  # filled by `write_ranks` when the epoch is complete
        scores, positive = self.scores["score"], self.scores["positive"]
        if self._has_two_outputs:
            np.subtract(self.outputs[:, 1], self.outputs[:, 0], out=scores[:, 0], casting="same_kind")
            true_classes(self.labels, self._true)
            np.not_equal(self._true, 0, out=positive[:, 0])
        else:
            np.copyto(scores, self.outputs, casting="same_kind")
            np.not_equal(self.labels, 0, out=positive)


class Auc(Ranking):
    """Area under the receiver operating characteristic: how often a row of class 1 scores above one of class 0.

    Exact (Mann and Whitney 1947): pairs of equal scores count one half. The mean over the labels that occur with both
    classes; 0.5 without any.
    """

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        twice_above, positives, negatives, _ = np.asarray(sums).reshape(-1, RANKS).T
        pairs = positives * negatives
        known = pairs > 0
        return float(np.mean(twice_above[known] / (2 * pairs[known]))) if known.any() else 0.5


class AveragePrecision(Ranking):
    """Precision averaged over the rows of class 1, each among the rows that score as high or higher; 0 without any.

    This is Σ_n (R_n - R_n-1) P_n over the thresholds n, with recall R and precision P (Zhu 2004); nothing is
    interpolated. The counts are exact, and the sum of their quotients is within 1e-12. The mean over the labels.
    """

    @classmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        _, positives, _, precisions = np.asarray(sums).reshape(-1, RANKS).T
        return float(np.mean(precisions / np.maximum(positives, 1)))
