"""The metric that a rule of training watches at the end of each epoch."""

from collections.abc import Collection
from typing import Annotated

from pydantic import Field

from .base import Line, OneOf
from .functions import Empty

MonitorName = Annotated[Line, Field(min_length=1, max_length=256)]
"""A metric of the held-out part, `loss` or `test_loss`, or of the training part, `train_loss`."""


class MonitorMode(OneOf):
    """The direction in which a metric improves; auto: losses and errors fall, all other metrics rise."""

    auto: Empty | None = None
    min: Empty | None = None
    max: Empty | None = None


def larger_is_better(metric: str) -> bool:
    """The direction in which a metric improves, by its name: losses and errors fall, all other metrics rise."""
    return not metric.endswith(("loss", "error"))


def part_of(monitor: str, metrics: Collection[str]) -> tuple[str, str]:
    """Return the part, `test` or `train`, and the metric that a `MonitorName` means, given the names of all metrics.

    A name that is a metric as it stands is of the held-out part, even if it begins with the name of a part.
    """
    part, _, metric = monitor.partition("_")
    return (part, metric) if monitor not in metrics and part in ("test", "train") else ("test", monitor)
