"""The base class of metrics, the choice of a metric for an output, and the values of metrics from sums over all rows.

A metric has no other state than its sums and, if it ranks rows, their scores (`raydient.steps.scores`). So its value
does not depend on which worker computed which rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.losses import Loss

Sums = NDArray[np.float64]
CLASSES = frozenset({"softmax_cross_entropy", "categorical_focal_cross_entropy", "kl_divergence"})
TWO_CLASSES = frozenset({"binary_cross_entropy", "binary_focal_cross_entropy", "hinge"})
NUMBERS = frozenset(
    {
        "sum_squared_error",
        "mean_squared_error",
        "mean_absolute_error",
        "huber",
        "poisson",
        "quantile",
        "cosine_similarity",
    }
)


class Metric(ABC):
    """A metric of one program.

    `kind` is the kind of `loss`. The metric reads its labels, and its outputs (rows · places, k) before the activation
    that the loss assumes.

    Attributes:
        outputs, labels: views of those of the loss.
        losses: kinds of loss that it can be used with.
        ranks: True if it needs the rank of each row among all rows of an epoch; see `Ranking`.
        larger_is_better: the direction in which it improves.
    """

    losses: ClassVar[frozenset[str]]
    ranks: ClassVar[bool] = False
    larger_is_better: ClassVar[bool] = True

    def __init__(self, settings: Any, kind: str, loss: Loss) -> None:
        self.settings, self.kind = settings, kind
        self.outputs: Floats = loss.outputs
        self.labels: AnyArray = loss.place_labels

    @classmethod
    @abstractmethod
    def size(cls, settings: Any, loss: str, outputs: int) -> int:
        """Number of sums for this number of outputs."""

    @abstractmethod
    def count(self, sums: Sums) -> None:
        """Overwrite `sums` with those over the rows."""

    @classmethod
    @abstractmethod
    def finish(cls, sums: Sums, rows: float, settings: Any) -> float:
        """The value of the metric for the sums over `rows` rows; finite for any sums that `count` can give."""


@dataclass(frozen=True, slots=True)
class OutputMetric:
    """The choice of a metric for one output of a network; `bind` makes the metric of a program.

    Attributes:
        name: name of its value in results.
        metric: class that computes it.
        settings: settings of the metric from the specification.
        loss: kind of the output's loss.
        size: number of sums.
    """

    name: str
    metric: type[Metric]
    settings: Any
    loss: str
    size: int

    def bind(self, loss: Loss) -> Metric:
        """Return the metric of one program, at the output of `loss`."""
        return self.metric(self.settings, self.loss, loss)


def values_of(names: Sequence[str], metrics: Sequence[OutputMetric], sums: Sequence[float]) -> Mapping[str, float]:
    """Values of loss and metrics by name.

    Args:
        names: names of the values that are means over the rows.
        metrics: the metrics with sums of their own.
        sums: the number of rows, then one sum for each of `names`, then those of each of `metrics`.
    """
    (rows, *means), start = sums[: 1 + len(names)], 1 + len(names)
    values = {name: float(value) / rows for name, value in zip(names, means, strict=True)}
    for one in metrics:
        values[one.name] = one.metric.finish(np.asarray(sums[start : start + one.size]), rows, one.settings)
        start += one.size
    assert start == len(sums), (start, len(sums))
    return values
