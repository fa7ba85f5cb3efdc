"""Losses on labels that are classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.functions import log1p
from raydient.workers.network.activations import Sigmoid
from raydient.workers.network.onnx_graph import OnnxGraph

from .labels import (
    Encoded,
    Labels,
    categories,
    class_indices,
    distinct,
    one_column,
    probabilities,
    two_categories,
    zeros_and_ones,
)
from .loss import Loss, Shape


class _Softmax(Loss):
    """Softmax cross-entropy, with one output (a logit) per class."""

    metric_names = ("loss", "accuracy")

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        rows, classes = outputs.shape
        self._row = np.zeros((rows, 1), outputs.dtype)
        self._total = np.zeros((rows, 1), outputs.dtype)
        self._row_starts = np.arange(rows) * classes
        self._places = np.zeros(rows, np.intp)  # flat index of one value of each row
        self._best = np.zeros(rows, np.intp)
        self._hit = np.zeros(rows, np.bool_)
        self._class_weight = np.array(settings.class_weight, outputs.dtype)

    def _shift(self, outputs: Floats, out: Floats) -> None:
        """Subtract the maximum of each row, so that no exponential overflows. `_best` keeps its index."""
        np.argmax(outputs, axis=1, out=self._best)  # faster than np.maximum.reduce, with the look-up below
        np.add(self._row_starts, self._best, out=self._places)
        np.take(outputs.reshape(-1), self._places, out=self._row[:, 0], mode="clip")  # other modes allocate
        np.subtract(outputs, self._row, out=out)

    def _count_hits(self, classes: NDArray[np.integer]) -> None:
        """Count the rows whose true class has the largest output, according to `_best`."""
        np.equal(self._best, classes, out=self._hit)
        self.sums[1] = np.count_nonzero(self._hit)

    @classmethod
    def classify(cls, predictions: NDArray[np.float32]) -> NDArray[np.int32] | None:
        return np.asarray(predictions.argmax(axis=-1), np.int32)

    def inplace_predict(self, outputs: Floats) -> None:
        self._shift(outputs, outputs)
        np.exp(outputs, out=outputs)
        np.add.reduce(outputs, axis=1, keepdims=True, out=self._row)
        np.divide(outputs, self._row, out=outputs)

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        return graph.node("Softmax", [outputs], axis=-1)


class SoftmaxCrossEntropy(_Softmax):
    """-log softmax(y)_t for each row, with a class index t as label.

    log softmax(y)_t = (y_t - m) - log Σ_k exp(y_k - m) with m the largest output, so that nothing overflows. Taken
    together the derivatives of logarithm and softmax are softmax(y) - onehot(t), which needs no division by a small
    probability. Label smoothing (Szegedy et al. 2016) replaces onehot(t) by (1 - ε) onehot(t) + ε / k.
    """

    label_dtype = np.int32

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._at_label = np.zeros(len(outputs), outputs.dtype)
        self._spread = settings.label_smoothing

    @classmethod
    def of(cls, settings: Any) -> type[Loss]:
        return OneHotSoftmaxCrossEntropy if settings.one_hot else cls

    @classmethod
    def label_shape(cls, output_shape: Shape) -> Shape:
        return ()

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None) -> Encoded:
        if texts is None:
            return class_indices(labels)
        if isinstance(labels, np.ndarray):
            one_column(labels, "softmax_cross_entropy with categories")
        return categories(texts)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        return distinct(labels)

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        return generator.integers(0, output_shape[0], rows)

    def measure(self) -> None:
        exponentials, flat, losses = self.gradient, self.gradient.reshape(-1), self.losses
        self._shift(self.outputs, exponentials)
        np.add(self._row_starts, self.labels, out=self._places)
        np.take(flat, self._places, out=self._at_label, mode="clip")
        if self._spread:
            np.multiply(self._at_label, 1 - self._spread, out=self._at_label)
            np.add.reduce(exponentials, axis=1, out=losses)
            np.multiply(losses, self._spread / self.outputs.shape[1], out=losses)
            np.add(self._at_label, losses, out=self._at_label)
        np.exp(exponentials, out=exponentials)
        np.add.reduce(exponentials, axis=1, keepdims=True, out=self._total)
        np.log(self._total[:, 0], out=losses)
        np.subtract(losses, self._at_label, out=losses)
        if self._class_weight.size:
            np.take(self._class_weight, self.labels, out=self.weights, mode="clip")
        self._count_hits(self.labels)

    def differentiate(self, factors: Floats) -> None:
        gradient, flat = self.gradient, self.gradient.reshape(-1)
        np.divide(factors, self._total, out=self._row)
        np.multiply(gradient, self._row, out=gradient)
        if self._spread:
            np.multiply(factors, self._spread / self.outputs.shape[1], out=self._row)
            np.subtract(gradient, self._row, out=gradient)
            np.multiply(factors, 1 - self._spread, out=factors)
        np.take(flat, self._places, out=self._at_label, mode="clip")
        np.subtract(self._at_label, factors[:, 0], out=self._at_label)
        flat[self._places] = self._at_label


class OneHotSoftmaxCrossEntropy(_Softmax):
    """-Σ_k t_k log softmax(y)_k for each row, with a probability t_k for each class as label.

    With s = Σ_k t_k, which is 1 up to rounding, the derivative is s softmax(y) - t; see `SoftmaxCrossEntropy`.
    """

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._mass = np.zeros((len(outputs), 1), outputs.dtype)
        self._true = np.zeros(len(outputs), np.intp)

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None) -> Encoded:
        return probabilities(labels)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        return np.flatnonzero(labels.any(axis=0))

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        return np.eye(output_shape[0])[generator.integers(0, output_shape[0], rows)]

    def _smooth(self, out: Floats) -> None:
        spread = self.settings.label_smoothing
        np.multiply(self.labels, 1 - spread, out=out)
        np.add(out, spread / out.shape[1], out=out)

    def measure(self) -> None:
        exponentials, target, losses = self.gradient, self.scratch, self.losses
        self._shift(self.outputs, exponentials)
        self._smooth(target)
        np.add.reduce(target, axis=1, keepdims=True, out=self._mass)
        np.vecdot(target, exponentials, out=losses)
        np.exp(exponentials, out=exponentials)
        np.add.reduce(exponentials, axis=1, keepdims=True, out=self._total)
        np.log(self._total, out=self._row)
        np.multiply(self._row, self._mass, out=self._row)
        np.subtract(self._row[:, 0], losses, out=losses)
        if self._class_weight.size:
            np.matmul(self.labels, self._class_weight, out=self.weights)
        np.argmax(self.labels, axis=1, out=self._true)
        self._count_hits(self._true)

    def differentiate(self, factors: Floats) -> None:
        gradient, target = self.gradient, self.scratch
        np.divide(self._mass, self._total, out=self._row)
        np.multiply(gradient, self._row, out=gradient)
        self._smooth(target)
        np.subtract(gradient, target, out=gradient)
        np.multiply(gradient, factors, out=gradient)


class _TwoClasses(Loss):
    """One output y for each row, above 0 for the class 1, with labels t of 0 and 1."""

    metric_names = ("loss", "accuracy")

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._hit = np.zeros(outputs.shape, np.bool_)

    @classmethod
    def shape_problem(cls, output_shape: Shape) -> str | None:
        return None if output_shape == (1,) else "takes one output per sample: end with `dense: {units: 1}`"

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None) -> Encoded:
        if texts is None:
            return zeros_and_ones(labels)
        if isinstance(labels, np.ndarray):
            one_column(labels, "a loss of two classes with categories")
        return two_categories(texts)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        return np.flatnonzero([(labels == 0).any(), (labels == 1).any()])

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        return generator.integers(0, 2, (rows, 1))

    def _weigh_and_count(self) -> None:
        """Set the weights of the rows by class, and count the rows on the right side of 0."""
        if self.settings.class_weight:
            zero, one = self.settings.class_weight
            np.multiply(self.labels[:, 0], one - zero, out=self.weights)
            np.add(self.weights, zero, out=self.weights)
        np.greater(self.outputs, 0, out=self._hit)
        np.equal(self._hit, self.labels, out=self._hit)
        self.sums[1] = np.count_nonzero(self._hit)


class BinaryCrossEntropy(_TwoClasses):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(y) for each row: y is a logit.

    Written as max(y, 0) - y t + log(1 + exp(-|y|)), which neither overflows nor cancels; derivative p - t. Label
    smoothing replaces t by (1 - ε) t + ε / 2.
    """

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._sigmoid = Sigmoid(None)

    def _smooth(self, out: Floats) -> None:
        np.multiply(self.labels, 1 - self.settings.label_smoothing, out=out)
        np.add(out, self.settings.label_smoothing / 2, out=out)

    def measure(self) -> None:
        y, linear, curved = self.outputs, self.gradient, self.scratch
        self._smooth(linear)
        np.multiply(y, linear, out=linear)
        np.maximum(y, 0, out=curved)
        np.subtract(curved, linear, out=linear)
        np.copysign(y, -1, out=curved)
        np.exp(curved, out=curved)
        log1p(curved, curved)
        np.add(linear[:, 0], curved[:, 0], out=self.losses)
        self._weigh_and_count()

    def differentiate(self, factors: Floats) -> None:
        gradient, target = self.gradient, self.scratch
        np.copyto(gradient, self.outputs)
        self._sigmoid.inplace_forward(gradient, target)
        self._smooth(target)
        np.subtract(gradient, target, out=gradient)
        np.multiply(gradient, factors, out=gradient)

    @classmethod
    def classify(cls, predictions: NDArray[np.float32]) -> NDArray[np.int32] | None:
        return (predictions.reshape(len(predictions)) > 0.5).astype(np.int32)

    def inplace_predict(self, outputs: Floats) -> None:
        self._sigmoid.inplace_forward(outputs, self.scratch)

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        return graph.node("Sigmoid", [outputs])


class Hinge(_TwoClasses):
    """max(0, 1 - s y) for each row with s = 2 t - 1, which is -1 or 1; derivative -s where that is above 0, else 0.

    Cortes and Vapnik (1995). Rows on the right side and at least 1 away from 0 do not contribute.
    """

    def _signs_and_margins(self) -> tuple[Floats, Floats]:
        signs, margins = self.gradient, self.scratch
        np.multiply(self.labels, 2, out=signs)
        np.subtract(signs, 1, out=signs)
        np.multiply(signs, self.outputs, out=margins)
        np.subtract(1, margins, out=margins)
        return signs, margins

    def measure(self) -> None:
        _, margins = self._signs_and_margins()
        margins[:, 0].clip(0, np.inf, out=self.losses)
        self._weigh_and_count()

    def differentiate(self, factors: Floats) -> None:
        signs, margins = self._signs_and_margins()
        np.greater(margins, 0, out=margins, casting="unsafe")
        np.multiply(signs, margins, out=signs)
        np.negative(signs, out=signs)
        np.multiply(signs, factors, out=signs)

    @classmethod
    def classify(cls, predictions: NDArray[np.float32]) -> NDArray[np.int32] | None:
        return (predictions.reshape(len(predictions)) > 0).astype(np.int32)

    def inplace_predict(self, outputs: Floats) -> None:
        """Do nothing: an output is a distance, not a probability."""
