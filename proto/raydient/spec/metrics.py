"""Metrics besides the loss. Names are Keras's, in snake case."""

from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field

from .base import Model, OneOf
from .functions import Empty


class TopK(Model):
    """The share of samples whose true class is among the k classes with the largest outputs; if `weighted`, the
    share of their sample weights.
    """

    k: Annotated[int, Field(ge=1, le=1_048_576)] = 5
    weighted: bool = False


class Average(OneOf):
    """The average over classes or over labels that do not exclude each other.

    `macro` is the unweighted mean, `weighted` the mean by the number of a class's labels, `micro` the value of the
    counts of all classes together.
    """

    macro: Empty | None = None
    micro: Empty | None = None
    weighted: Empty | None = None


class Averaged(Model):
    """A metric of each class, averaged."""

    average: Average = Average(macro=Empty())


class Metric(OneOf):
    """A measure besides the loss, of the training part during training and of the held-out part after each epoch."""

    accuracy: Empty | None = None
    top_k: TopK | None = None
    precision: Averaged | None = None
    recall: Averaged | None = None
    f1: Averaged | None = None
    auc: Empty | None = None
    mean_absolute_error: Empty | None = None
    root_mean_squared_error: Empty | None = None
    r2: Empty | None = None
    average_precision: Empty | None = None

    @property
    def name(self) -> str:
        """The name of its values: `precision`, `micro_precision`, `top_5`, `weighted_top_5`."""
        if isinstance(self.value, TopK):
            return f"weighted_top_{self.value.k}" if self.value.weighted else f"top_{self.value.k}"
        average = self.value.average.kind if isinstance(self.value, Averaged) else "macro"
        return self.kind if average == "macro" else f"{average}_{self.kind}"


def _each_once(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    for name, count in Counter(metric.name for metric in metrics).items():
        if count > 1:
            raise ValueError(f"{name} is there twice")
    return metrics


Metrics = Annotated[tuple[Metric, ...], Field(max_length=64, strict=False), AfterValidator(_each_once)]
"""The metrics of one output, with distinct names."""
