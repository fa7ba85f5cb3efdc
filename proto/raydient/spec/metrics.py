"""Metrics besides the loss. Names are Keras's, in snake case."""

import re
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

    `binary` is no average: the value of class 1 of two classes. `macro` is the unweighted mean, `weighted` the mean by
    the number of a class's labels, `micro` the value of the counts of all classes together. `auto` is `binary` where
    there are two classes, otherwise `macro`.
    """

    auto: Empty | None = None
    binary: Empty | None = None
    macro: Empty | None = None
    micro: Empty | None = None
    weighted: Empty | None = None


class Averaged(Model):
    """A metric of class 1 of two classes, or of each class, averaged."""

    average: Average = Average(auto=Empty())

    def with_average(self, kind: str) -> "Averaged":
        """The same with another average."""
        return Averaged(average=Average.model_validate(kind))


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
    log_loss: Empty | None = None

    def name(self, average: str) -> str:
        """The name of its values: `precision`, `micro_precision`, `top_5`, `weighted_top_5`.

        A name without an average is that of all rows, or of class 1.

        Args:
            average: kind of the average over classes or labels; `binary` if there is none.
        """
        if isinstance(self.value, TopK):
            return f"weighted_top_{self.value.k}" if self.value.weighted else f"top_{self.value.k}"
        return self.kind if average in ("auto", "binary") else f"{average}_{self.kind}"


def setting_of(name: str) -> str | None:
    """Return the setting of the metric whose values have a name: `{f1: {average: macro}}` for `macro_f1`."""
    if top := re.fullmatch("(weighted_)?top_([0-9]+)", name):
        return f"{{top_k: {{k: {top[2]}{', weighted: true' if top[1] else ''}}}}}"
    average, _, kind = name.partition("_")
    if average not in Average.model_fields or kind not in Metric.model_fields:
        return None
    is_averaged = Metric.model_fields[kind].annotation == Averaged | None
    return f"{{{kind}: {{average: {average}}}}}" if is_averaged else kind


def _each_once(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    averages = [metric.value.average.kind if isinstance(metric.value, Averaged) else "binary" for metric in metrics]
    names = [metric.name(average) for metric, average in zip(metrics, averages, strict=True)]
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{name} is there twice")
    return metrics


Metrics = Annotated[tuple[Metric, ...], Field(max_length=64, strict=False), AfterValidator(_each_once)]
"""The metrics of one output, with distinct names as far as they do not depend on the network."""
