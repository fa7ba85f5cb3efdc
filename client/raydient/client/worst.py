"""The samples whose predictions are farthest from their labels."""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raydient.workers.network import Model

    from .local_model import Evaluated

EXAMPLES = 10
"""Number of samples that are shown."""
SHOWN_COLUMNS = 12
"""Maximum number of values of a sample that are shown."""


def worst_examples(network: "Model", evaluated: "Evaluated", name: str) -> list[dict[str, Any]]:
    """Return the worst predictions of an output, the worst first; none if a label has several places.

    Each has the `row` of the data, from 1, its `label`, what was `predicted`, the first values of its inputs
    (`sample`), and for a class the output of its label (`score`), for numbers the `residual`, prediction - label.
    """
    import numpy as np

    prediction, labels = evaluated.predictions[name], evaluated.labels[name]
    outputs = prediction.outputs.reshape(len(prediction), -1)
    if prediction.classes is None:
        values = labels.reshape(len(labels), -1)
        if values.shape != outputs.shape:
            return []
        amounts = np.abs(outputs - values)
        places = amounts.argmax(axis=1)
        worst = np.argsort(-amounts.max(axis=1), kind="stable")[:EXAMPLES]
        examples = [
            {
                "label": float(values[row, places[row]]),
                "predicted": float(outputs[row, places[row]]),
                "residual": float(outputs[row, places[row]]) - float(values[row, places[row]]),
            }
            for row in worst
        ]
    else:
        if prediction.classes.shape != (len(prediction),):
            return []
        classes = _classes(labels, outputs.shape[1])
        if classes is None:
            return []
        scores = _scores(outputs, classes)
        scores[classes < 0] = np.inf  # a label that does not count
        worst = np.array([row for row in np.argsort(scores, kind="stable")[:EXAMPLES] if np.isfinite(scores[row])], int)
        names = prediction.class_names
        examples = [
            {
                "label": names[classes[row]] if names else int(classes[row]),
                "predicted": names[prediction.classes[row]] if names else int(prediction.classes[row]),
                "score": float(scores[row]),
            }
            for row in worst
        ]
    return [
        {"row": int(evaluated.rows[row]), **one, "sample": _sample(network, evaluated.inputs, int(row))}
        for row, one in zip(worst, examples, strict=True)
    ]


def _classes(labels: "NDArray[Any]", outputs: int) -> "NDArray[Any] | None":
    """Class indices (n,) of labels as `confusion_of` takes them; None if they are no such classes."""
    import numpy as np

    if labels.ndim == 2 and labels.shape[1] == outputs > 1:
        most_probable: NDArray[Any] = labels.argmax(axis=1)
        return most_probable
    flat: NDArray[Any] = labels.reshape(len(labels), -1)
    if flat.shape[1] != 1:
        return None
    return (flat[:, 0] > 0).astype(np.int64) if flat.dtype.kind == "f" else flat[:, 0].astype(np.int64)


def _scores(outputs: "NDArray[Any]", classes: "NDArray[Any]") -> "NDArray[Any]":
    """The output of each label's class, (n,); one output stands for class 1, and 1 - output for class 0."""
    import numpy as np

    if outputs.shape[1] > 1:
        return np.take_along_axis(outputs, np.maximum(classes, 0)[:, None], axis=1)[:, 0].astype(np.float64)
    return np.where(classes > 0, outputs[:, 0], 1 - outputs[:, 0]).astype(np.float64)


def _sample(network: "Model", inputs: "Mapping[str, NDArray[Any]]", row: int) -> dict[str, Any]:
    """The first values of a sample by their columns."""
    sample: dict[str, Any] = {}
    for name, preprocessing in network.inputs.items():
        values = inputs[name][row].reshape(-1)[:SHOWN_COLUMNS].tolist()
        columns = preprocessing.feature_names or [f"{name}[{place}]" for place in range(len(values))]
        for place, (column, value) in enumerate(zip(columns, values, strict=False)):
            is_date = column in preprocessing.date_columns and isfinite(value)
            sample[column] = preprocessing.shown(value, (place,)) if is_date else _plain(value)
    return dict(list(sample.items())[:SHOWN_COLUMNS])


def _plain(value: Any) -> Any:
    """A value that JSON has; None for a missing number."""
    if isinstance(value, float) and not isfinite(value):
        return None
    return value if isinstance(value, int | float | bool) or value is None else str(value)
