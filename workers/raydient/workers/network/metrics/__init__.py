"""The table of metrics besides the loss.

A metric computes sums over rows, which the reduction tree adds up, and a value from the sums over all rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from raydient.spec import metrics as spec

from .classes import F1, Precision, Recall, TopK
from .metric import CLASSES, NUMBERS, TWO_CLASSES, Metric, OutputMetric, values_of
from .numbers import R2, RootMeanSquaredError
from .probabilities import LogLoss
from .ranking import Auc, AveragePrecision, Ranking

METRICS: dict[str, type[Metric]] = {
    "top_k": TopK,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "auc": Auc,
    "average_precision": AveragePrecision,
    "log_loss": LogLoss,
    "root_mean_squared_error": RootMeanSquaredError,
    "r2": R2,
}

BY_LOSSES = {"accuracy": CLASSES | TWO_CLASSES, "mean_absolute_error": NUMBERS}
"""Metrics that losses compute by themselves, and the kinds of these losses."""


def metric_problem(choice: spec.Metric, loss: str) -> str | None:
    """Return the reason why a metric cannot be used with a loss, or None."""
    allowed = BY_LOSSES[choice.kind] if choice.kind in BY_LOSSES else METRICS[choice.kind].losses
    return None if loss in allowed else f"{choice.kind} goes with {', '.join(sorted(allowed))}, not with {loss}"


def metric_shape_problem(choice: spec.Metric, loss: str, settings: Any, shape: Sequence[int]) -> str | None:
    """Return the reason why a metric does not fit the output, or None. It goes with the loss.

    Args:
        choice: the metric.
        loss, settings: kind and settings of the output's loss.
        shape: shape of the output for one sample.
    """
    is_binary = isinstance(choice.value, spec.Averaged) and choice.value.average.kind == "binary"
    if is_binary and not _has_two_classes(loss, shape[-1]):
        things = f"{shape[-1]} {'classes' if loss in CLASSES else 'labels'}"
        text = f"binary is of class 1 of two classes, but there are {things}"
        return f"{text}: macro, micro and weighted are averages over them"
    if choice.kind not in METRICS or not METRICS[choice.kind].ranks:
        return None
    if len(shape) > 1:
        return "ranks samples, but the loss has several positions a sample: leave it out"
    if loss in CLASSES and shape[-1] != 2:
        return f"ranks samples of two classes, but there are {shape[-1]}: leave it out"
    if getattr(settings, "ignore_class", None) is not None:
        return "ranks all samples, but `ignore_class` of the loss leaves samples out: leave one of them out"
    return None


def _has_two_classes(loss: str, outputs: int) -> bool:
    """Return True if an output with this number of values is of two classes that exclude each other."""
    return outputs == (2 if loss in CLASSES else 1)


def output_metrics(choices: Iterable[spec.Metric], loss: str, outputs: int, prefix: str) -> tuple[OutputMetric, ...]:
    """The metrics of one output, without those that its loss computes by itself.

    Args:
        choices: metrics of the specification.
        loss: kind of the output's loss.
        outputs: number of values of the output along its last axis.
        prefix: beginning of the metrics' names.
    """
    made = []
    for choice in choices:
        if choice.kind in METRICS:
            metric, settings, average = METRICS[choice.kind], choice.value, "binary"
            if isinstance(settings, spec.Averaged):
                average = settings.average.kind
                if average == "auto":
                    average = "binary" if _has_two_classes(loss, outputs) else "macro"
                settings = settings.with_average(average)
            elif metric.ranks and Ranking.columns(loss, outputs) > 1:
                average = "macro"
            size = metric.size(settings, loss, outputs)
            made.append(OutputMetric(prefix + choice.name(average), metric, settings, loss, size))
    return tuple(made)


__all__ = [
    "BY_LOSSES",
    "CLASSES",
    "METRICS",
    "R2",
    "Auc",
    "AveragePrecision",
    "Metric",
    "OutputMetric",
    "Ranking",
    "metric_problem",
    "metric_shape_problem",
    "output_metrics",
    "values_of",
]
