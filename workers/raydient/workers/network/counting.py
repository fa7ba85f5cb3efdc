"""What is counted at an output besides what its loss measures anyhow, and the values that sums over all rows make."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec import metrics as spec

from .metrics import METRICS, Array, Metric, Sums


@dataclass(frozen=True, slots=True)
class Counted:
    """A metric of one output, before there is a program.

    Attributes:
        name: of its value.
        metric: what counts.
        settings: of the metric, as its specification holds them.
        loss: kind of the output's loss.
        size: how many sums it needs.
    """

    name: str
    metric: type[Metric]
    settings: Any
    loss: str
    size: int

    def bind(self, outputs: Array, labels: NDArray[Any]) -> Metric:
        """The metric of one program: of its output, (rows, k), against the labels of the loss there."""
        return self.metric(self.settings, self.loss, outputs, labels)


def counted(choices: Iterable[spec.Metric], loss: str, outputs: int, prefix: str) -> tuple[Counted, ...]:
    """Those of a choice that the loss does not measure anyhow, for so many outputs; `prefix` begins their names."""
    found = [(choice, METRICS[choice.kind]) for choice in choices if choice.kind in METRICS]
    return tuple(
        Counted(prefix + choice.name, metric, choice.value, loss, metric.size(loss, outputs))
        for choice, metric in found
    )


def finish(names: Sequence[str], metrics: Sequence[Counted], sums: Sequence[float]) -> Mapping[str, float]:
    """Values by name. `sums` begins with the number of rows, then comes one for each of `names`, whose mean is the
    value, then those of each of `metrics`.
    """
    (rows, *means), start = sums[: 1 + len(names)], 1 + len(names)
    values = {name: float(value) / rows for name, value in zip(names, means, strict=True)}
    for one in metrics:
        part: Sums = np.asarray(sums[start : start + one.size])
        values[one.name] = one.metric.finish(part, rows)
        start += one.size
    assert start == len(sums), (start, len(sums))
    return values
