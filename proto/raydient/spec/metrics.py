"""Metrics besides the loss. Names are Keras's, in snake case."""

from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field

from .base import Model, OneOf
from .functions import Empty


class TopK(Model):
    """The share of samples whose true class is among the k classes with the largest outputs."""

    k: Annotated[int, Field(ge=1, le=1_048_576)] = 5


class Metric(OneOf):
    """A measure besides the loss, of the training part during training and of the held-out part after each epoch."""

    accuracy: Empty | None = None
    top_k: TopK | None = None
    precision: Empty | None = None
    recall: Empty | None = None
    f1: Empty | None = None
    auc: Empty | None = None
    mean_absolute_error: Empty | None = None
    root_mean_squared_error: Empty | None = None
    r2: Empty | None = None

    @property
    def name(self) -> str:
        """The name of its values: `precision`, `top_5`."""
        return f"top_{self.value.k}" if self.kind == "top_k" else self.kind


def _each_once(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    for name, count in Counter(metric.name for metric in metrics).items():
        if count > 1:
            raise ValueError(f"{name} is there twice")
    return metrics


Metrics = Annotated[tuple[Metric, ...], Field(max_length=64, strict=False), AfterValidator(_each_once)]
"""The metrics of one output, with distinct names."""
