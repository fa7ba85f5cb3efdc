"""Warnings about metrics of two classes that say nothing of a part of the data, because a class is missing there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.errors import FieldError
from raydient.spec.metrics import Averaged
from raydient.spec.values import quoted
from raydient.workers.data import Dataset
from raydient.workers.network import Network
from raydient.workers.network.metrics import CLASSES, Auc, AveragePrecision, Metric, OutputMetric

_ALWAYS: Mapping[type[Metric], tuple[str | None, str]] = {Auc: ("0.5", "0.5"), AveragePrecision: ("1", "0")}
"""The only value of a metric if class 0 is missing, and if class 1 is missing; of the others see `_OF_COUNTS`."""
_OF_COUNTS = None, "0"


def metric_warnings(network: Network, data: Dataset) -> Iterator[FieldError]:
    """Yield a warning for each metric of class 1 and each part of the data that has only one of the classes."""
    parts = {name: part for name, part in (("training", data.train), ("held-out", data.test)) if part.rows}
    for place, output in enumerate(network.outputs):
        where = f"network.outputs[{place}].metrics" if network.spec.outputs else "network.metrics"
        for metric in output.metrics:
            for name, part in parts.items() if _is_of_class_1(metric) else ():
                present = _present(part.ys[output.name], metric.loss)
                if problem := _problem(metric, present, data.targets[output.name].classes):
                    yield FieldError(where, f"{metric.name} of the {name} part {problem}")


def _is_of_class_1(metric: OutputMetric) -> bool:
    averaged = isinstance(metric.settings, Averaged)
    return metric.metric.ranks or (averaged and metric.settings.average.kind == "binary")


def _present(labels: NDArray[Any], loss: str) -> NDArray[np.bool_]:
    """Return whether class 0 and class 1 occur among the labels of an output, (2, columns)."""
    if loss in CLASSES:
        labels = (labels.argmax(axis=-1) if labels.dtype.kind == "f" else labels).reshape(-1, 1)
    else:
        labels = labels.reshape(-1, labels.shape[-1])
    return np.array([(labels == class_).any(axis=0) for class_ in (0, 1)])


def _problem(metric: OutputMetric, present: NDArray[np.bool_], names: Sequence[str]) -> str | None:
    both = np.logical_and(*present)
    if len(both) > 1:
        count = int((~both).sum())
        return f"has labels that are all equal: {count} of {len(both)}" if count else None
    value_without_0, value_without_1 = _ALWAYS.get(metric.metric, _OF_COUNTS)
    if not present[1].any():
        return f"is always {value_without_1}: no label there is of class 1{_named(names, 1)}"
    if not present[0].any() and value_without_0 is not None:
        return f"is always {value_without_0}: no label there is of class 0{_named(names, 0)}"
    return None


def _named(names: Sequence[str], class_: int) -> str:
    return f" ({quoted(names[class_])})" if len(names) > class_ else ""
