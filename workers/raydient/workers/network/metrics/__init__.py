"""The table of metrics besides the loss.

A metric computes sums over rows, which the reduction tree adds up, and a value from the sums over all rows.
"""

from collections.abc import Iterable

from raydient.spec import metrics as spec

from .classes import F1, Auc, AveragePrecision, Precision, Ranking, Recall, TopK
from .metric import CLASSES, NUMBERS, TWO_CLASSES, Metric, OutputMetric, values_of
from .numbers import R2, RootMeanSquaredError

METRICS: dict[str, type[Metric]] = {
    "top_k": TopK,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "auc": Auc,
    "average_precision": AveragePrecision,
    "root_mean_squared_error": RootMeanSquaredError,
    "r2": R2,
}

BY_LOSSES = {"accuracy": CLASSES | TWO_CLASSES, "mean_absolute_error": NUMBERS}
"""Metrics that losses compute by themselves, and the kinds of these losses."""


def metric_problem(choice: spec.Metric, loss: str) -> str | None:
    """Return the reason why a metric cannot be used with a loss, or None."""
    allowed = BY_LOSSES[choice.kind] if choice.kind in BY_LOSSES else METRICS[choice.kind].losses
    return None if loss in allowed else f"{choice.kind} goes with {', '.join(sorted(allowed))}, not with {loss}"


def metric_shape_problem(choice: spec.Metric, places: int) -> str | None:
    """Return the reason why a metric cannot be used with a number of places of a sample's output, or None."""
    ranks = choice.kind in METRICS and METRICS[choice.kind].ranks
    return f"ranks samples by one output, but there are {places}: leave it out" if ranks and places > 1 else None


def output_metrics(choices: Iterable[spec.Metric], loss: str, outputs: int, prefix: str) -> tuple[OutputMetric, ...]:
    """The metrics of one output, without those that its loss computes by itself.

    Args:
        choices: metrics of the specification.
        loss: kind of the output's loss.
        outputs: number of values of the output along its last axis.
        prefix: beginning of the metrics' names.
    """
    tables = [(choice, METRICS[choice.kind]) for choice in choices if choice.kind in METRICS]
    return tuple(
        OutputMetric(prefix + choice.name, metric, choice.value, loss, metric.size(loss, outputs))
        for choice, metric in tables
    )


__all__ = [
    "BY_LOSSES",
    "METRICS",
    "R2",
    "Metric",
    "OutputMetric",
    "Ranking",
    "metric_problem",
    "metric_shape_problem",
    "output_metrics",
    "values_of",
]
