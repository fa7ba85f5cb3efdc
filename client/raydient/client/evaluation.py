"""The evaluation of a trained network on labelled samples, and what it shows besides metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .prediction import Prediction

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

MOST_CLASSES = 1000
"""Maximum number of classes of a confusion matrix."""
SHARES = (5, 25, 50, 75, 95)
"""Percentages of the quantiles of residuals."""


@dataclass(frozen=True, slots=True)
class ClassResult:
    """The results of one class; a quotient without rows is 0.

    Attributes:
        name: the label of the class.
        rows: labels of this class.
        precision: share of the predictions of this class that are right.
        recall: share of the labels of this class that are predicted.
        f1: harmonic mean of both.
    """

    name: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False, slots=True)
class Confusion:
    """The predicted classes for the labels of each class.

    Attributes:
        classes: names of the classes.
        counts: (classes, classes), the number of labels (row) that are predicted as a class (column).
    """

    classes: tuple[str, ...]
    counts: "NDArray[int64]"

    @property
    def by_class(self) -> tuple[ClassResult, ...]:
        """The results of each class."""
        results = []
        for place, name in enumerate(self.classes):
            hits = int(self.counts[place, place])
            rows, predicted = int(self.counts[place].sum()), int(self.counts[:, place].sum())
            f1 = _quotient(2 * hits, rows + predicted)
            results.append(ClassResult(name, rows, _quotient(hits, predicted), _quotient(hits, rows), f1))
        return tuple(results)


@dataclass(frozen=True, slots=True)
class Residuals:
    """Differences prediction - label, of all values of an output.

    Attributes:
        mean, deviation: mean and standard deviation.
        quantiles: quantiles by percentage, of `SHARES`.
        largest: the difference with the largest amount.
        row: the sample that has it, from 1.
    """

    mean: float
    deviation: float
    quantiles: Mapping[int, float]
    largest: float
    row: int


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation:
    """The result of `LocalModel.evaluate`.

    Attributes:
        rows: number of samples.
        metrics: the loss and each metric of the job, by name as in its history.
        confusions: of each output with classes, by its name, unless these are more than `MOST_CLASSES`.
        residuals: of each output of numbers, by its name.
    """

    rows: int
    metrics: Mapping[str, float]
    confusions: Mapping[str, Confusion]
    residuals: Mapping[str, Residuals]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics.items())
        return f"<Evaluation of {self.rows:,} samples: {values}>"


def confusion_of(labels: "NDArray[Any]", prediction: Prediction, outputs: int) -> Confusion | None:
    """Count the predicted classes; None if there are too many classes.

    Args:
        labels: encoded for the loss: class indices (n, *places), below 0 where a place does not count; numbers above 0
            for class 1 (n, *places) or (n, 1); or probabilities of the classes (n, *places, outputs).
        prediction: has classes, (n, *places).
        outputs: values at each place, or 1 for two classes.
    """
    import numpy as np

    predicted, names = prediction.classes, prediction.class_names
    assert predicted is not None, "an output with classes"
    if labels.shape in (predicted.shape, (*predicted.shape, 1)):
        is_of_two = labels.dtype.kind == "f"
        classes = (labels > 0).astype(np.int64) if is_of_two else labels.astype(np.int64)
    else:
        is_of_two, classes = False, labels.argmax(axis=-1)
    count = 2 if is_of_two else outputs
    if count > MOST_CLASSES:
        return None
    classes, predictions = classes.ravel(), predicted.ravel()
    counted = classes >= 0
    pairs = classes[counted] * count + predictions[counted]
    counts = np.bincount(pairs, minlength=count * count).reshape(count, count).astype(np.int64)
    return Confusion((*names, *map(str, range(len(names), count))), counts)


def residuals_of(labels: "NDArray[Any]", outputs: "NDArray[Any]") -> Residuals:
    """Residuals of outputs (n, ...) and labels of the same size."""
    import numpy as np

    residuals = outputs.reshape(len(outputs), -1).astype(np.float64) - labels.reshape(len(outputs), -1)
    row, column = np.unravel_index(int(np.abs(residuals).argmax()), residuals.shape)
    quantiles = np.percentile(residuals, SHARES).tolist()
    return Residuals(
        float(residuals.mean()),
        float(residuals.std()),
        dict(zip(SHARES, quantiles, strict=True)),
        float(residuals[row, column]),
        int(row) + 1,
    )


def _quotient(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
