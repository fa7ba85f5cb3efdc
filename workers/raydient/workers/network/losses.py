"""Losses: value, metrics and derivative of each kind, side by side."""

from abc import ABC, abstractmethod
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .activations import Sigmoid
from .onnx_graph import OnnxGraph

Array = NDArray[np.floating]
Shape = tuple[int, ...]


class Loss(ABC):
    """A loss at the end of one program, over buffers that it is given.

    `outputs` (rows, k) is what the last layer computes, `gradient` like it takes the derivative of the loss by it,
    `scratch` like it may be used within a call.

    Attributes:
        metric_names: what `forward` sums over the rows, the loss first.
        labels: (rows, *label shape), filled by the caller.
        sums: float64, one value per metric name.
    """

    metric_names: ClassVar[tuple[str, ...]]
    label_dtype: ClassVar[type[np.generic]] = np.float32

    def __init__(self, outputs: Array, gradient: Array, scratch: Array) -> None:
        self.outputs, self.gradient, self.scratch = outputs, gradient, scratch
        dtype = outputs.dtype if np.issubdtype(self.label_dtype, np.floating) else self.label_dtype
        self.labels = np.zeros((len(outputs), *self.label_shape(outputs.shape[1:])), dtype)
        self.sums = np.zeros(len(self.metric_names))

    @classmethod
    def shape_problem(cls, output_shape: Shape) -> str | None:
        """Why the loss cannot take outputs of this shape, and the mend; None if it can."""
        return None if len(output_shape) == 1 else "takes one vector per sample: add `flatten` after the last layer"

    @classmethod
    def label_shape(cls, output_shape: Shape) -> Shape:
        """Shape of one sample's label."""
        return output_shape

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> NDArray[Any]:
        """Labels that the loss accepts, (rows, *label shape), for checks where there are no data."""
        return generator.standard_normal((rows, *output_shape))

    @abstractmethod
    def forward(self) -> None:
        """Compute `sums` from outputs and labels; may leave in `gradient` what `backward` needs."""

    @abstractmethod
    def backward(self, scale: float) -> None:
        """Compute `gradient`, the derivative by outputs of `scale` times the sum over rows. Once after each forward."""

    @abstractmethod
    def inplace_predict(self, outputs: Array) -> None:
        """Apply to `outputs` the activation that the loss assumes after them, if it assumes one."""

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        """The same as operators in `graph`; the name of the prediction there."""
        return outputs


class SumSquaredError(Loss):
    """Σ_k (y_k - t_k)² for each row, without a factor 1/2; derivative 2 (y - t)."""

    metric_names = ("loss", "mean_absolute_error")

    def weight(self) -> float:
        """Factor of each squared error."""
        return 1.0

    def forward(self) -> None:
        error, scratch, outputs = self.gradient, self.scratch, prod(self.outputs.shape[1:])
        np.subtract(self.outputs, self.labels, out=error)
        np.multiply(error, error, out=scratch)
        self.sums[0] = self.weight() * np.add.reduce(scratch, axis=None, dtype=np.float64)
        np.absolute(error, out=scratch)
        self.sums[1] = np.add.reduce(scratch, axis=None, dtype=np.float64) / outputs

    def backward(self, scale: float) -> None:
        np.multiply(self.gradient, 2 * scale * self.weight(), out=self.gradient)

    def inplace_predict(self, outputs: Array) -> None:
        """Nothing to do."""


class MeanSquaredError(SumSquaredError):
    """The same divided by the number of outputs."""

    def weight(self) -> float:
        return 1 / prod(self.outputs.shape[1:])


class SoftmaxCrossEntropy(Loss):
    """-log softmax(y)_t for each row, with a class index t as label and one output (a logit) per class.

    log softmax(y)_t = (y_t - m) - log Σ_k exp(y_k - m) with m the largest output, so that nothing overflows. Taken
    together the derivatives of logarithm and softmax are softmax(y) - onehot(t), which needs no division by a small
    probability.
    """

    metric_names = ("loss", "accuracy")
    label_dtype = np.int32

    def __init__(self, outputs: Array, gradient: Array, scratch: Array) -> None:
        super().__init__(outputs, gradient, scratch)
        rows, classes = outputs.shape
        self._row_starts = np.arange(rows) * classes
        self._label_places = np.zeros(rows, np.intp)  # of each row's label in the flattened gradient
        self._at_label = np.zeros(rows, outputs.dtype)
        self._row = np.zeros((rows, 1), outputs.dtype)
        self._total = np.zeros((rows, 1), outputs.dtype)
        self._best = np.zeros(rows, np.intp)
        self._hit = np.zeros(rows, np.bool_)

    @classmethod
    def label_shape(cls, output_shape: Shape) -> Shape:
        return ()

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> NDArray[Any]:
        return generator.integers(0, output_shape[0], rows)

    def forward(self) -> None:
        exponentials, flat = self.gradient, self.gradient.reshape(-1)
        np.maximum.reduce(self.outputs, axis=1, keepdims=True, out=self._row)
        np.subtract(self.outputs, self._row, out=exponentials)
        np.add(self._row_starts, self.labels, out=self._label_places)
        np.take(flat, self._label_places, out=self._at_label, mode="clip")  # other modes allocate
        np.exp(exponentials, out=exponentials)
        np.add.reduce(exponentials, axis=1, keepdims=True, out=self._total)
        np.log(self._total, out=self._row)
        losses = self._row[:, 0]
        np.subtract(losses, self._at_label, out=losses)
        self.sums[0] = np.add.reduce(losses, dtype=np.float64)
        np.argmax(self.outputs, axis=1, out=self._best)
        np.equal(self._best, self.labels, out=self._hit)
        self.sums[1] = np.count_nonzero(self._hit)

    def backward(self, scale: float) -> None:
        gradient, flat = self.gradient, self.gradient.reshape(-1)
        np.divide(scale, self._total, out=self._row)
        np.multiply(gradient, self._row, out=gradient)
        np.take(flat, self._label_places, out=self._at_label, mode="clip")
        np.subtract(self._at_label, scale, out=self._at_label)
        flat[self._label_places] = self._at_label

    def inplace_predict(self, outputs: Array) -> None:
        np.maximum.reduce(outputs, axis=1, keepdims=True, out=self._row)
        np.subtract(outputs, self._row, out=outputs)
        np.exp(outputs, out=outputs)
        np.add.reduce(outputs, axis=1, keepdims=True, out=self._row)
        np.divide(outputs, self._row, out=outputs)

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        return graph.node("Softmax", [outputs], axis=-1)


class BinaryCrossEntropy(Loss):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(y) for each row: one output y (a logit), labels t of 0 and 1.

    Written as max(y, 0) - y t + log(1 + exp(-|y|)), which neither overflows nor cancels; derivative p - t.
    """

    metric_names = ("loss", "accuracy")

    def __init__(self, outputs: Array, gradient: Array, scratch: Array) -> None:
        super().__init__(outputs, gradient, scratch)
        self._sigmoid = Sigmoid(None)
        self._hit = np.zeros(outputs.shape, np.bool_)

    @classmethod
    def shape_problem(cls, output_shape: Shape) -> str | None:
        return None if output_shape == (1,) else "takes one output per sample: end with `dense: {units: 1}`"

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> NDArray[Any]:
        return generator.integers(0, 2, (rows, 1))

    def forward(self) -> None:
        y, linear, curved = self.outputs, self.gradient, self.scratch
        np.multiply(y, self.labels, out=linear)
        np.maximum(y, 0, out=curved)
        np.subtract(curved, linear, out=linear)
        np.copysign(y, -1, out=curved)
        np.exp(curved, out=curved)
        np.log1p(curved, out=curved)
        np.add(linear, curved, out=linear)
        self.sums[0] = np.add.reduce(linear, axis=None, dtype=np.float64)
        np.greater(y, 0, out=self._hit)
        np.equal(self._hit, self.labels, out=self._hit)
        self.sums[1] = np.count_nonzero(self._hit)

    def backward(self, scale: float) -> None:
        gradient = self.gradient
        np.copyto(gradient, self.outputs)
        self._sigmoid.inplace_forward(gradient, self.scratch)
        np.subtract(gradient, self.labels, out=gradient)
        np.multiply(gradient, scale, out=gradient)

    def inplace_predict(self, outputs: Array) -> None:
        self._sigmoid.inplace_forward(outputs, self.scratch)

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        return graph.node("Sigmoid", [outputs])


LOSSES: dict[str, type[Loss]] = {
    "sum_squared_error": SumSquaredError,
    "mean_squared_error": MeanSquaredError,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
}
