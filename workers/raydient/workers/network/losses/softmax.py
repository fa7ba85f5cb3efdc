"""Softmax cross-entropy."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .labels import Encoded, Labels, class_indices, distinct, named, probabilities
from .loss import Loss, Shape


class _Softmax(Loss):
    """Softmax cross-entropy, with one output (a logit) per class: of a sample, or at each position of a sample.

    Outputs of shape (..., k) have a place for each index of the axes before the last: a position of a sequence, a pixel
    of an image. The loss of a sample is the mean over its places. This equals Keras's mean over all places of a batch
    if every sample has equally many places that count; if not, each sample has the same weight here.
    """

    metric_names = ("loss", "accuracy")

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        places, classes = self.outputs.shape
        self._row = np.zeros((places, 1), outputs.dtype)
        self._total = np.zeros((places, 1), outputs.dtype)
        self._row_starts = np.arange(places) * classes
        self._places = np.zeros(places, np.intp)  # flat index of one value of each place
        self._best = np.zeros(places, np.intp)
        self._hit = np.zeros(places, np.bool_)
        self._class_weight = np.array(getattr(settings, "class_weight", ()), outputs.dtype)
        self._spread: float = getattr(settings, "label_smoothing", 0.0)

    @classmethod
    def shape_problem(cls, output_shape: Shape) -> str | None:
        return None if output_shape else "takes one output per class"

    @classmethod
    def place_count(cls, output_shape: Shape) -> int:
        return prod(output_shape[:-1])

    @classmethod
    def class_count(cls, output_shape: Shape) -> int:
        return output_shape[-1]

    def _shift(self, outputs: Floats, out: Floats) -> None:
        """Subtract the maximum of each row, so that no exponential overflows. `_best` keeps its index."""
        np.argmax(outputs, axis=1, out=self._best)  # faster than np.maximum.reduce, with the look-up below
        np.add(self._row_starts, self._best, out=self._places)
        outputs.reshape(-1).take(self._places, out=self._row[:, 0], mode="clip")  # other modes allocate
        np.subtract(outputs, self._row, out=out)

    def _count_hits(self, classes: NDArray[np.integer]) -> None:
        """Measure how often the true class has the largest output, according to `_best`."""
        np.equal(self._best, classes, out=self._hit)
        self.sums[1] = self.places.sum_of_means(self._hit)

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
    """-log softmax(y)_t at each place, with a class index t as label. A place with the label SKIPPED does not count.

    log softmax(y)_t = (y_t - m) - log Σ_k exp(y_k - m) with m the largest output, so that nothing overflows. Taken
    together the derivatives of logarithm and softmax are softmax(y) - onehot(t), which needs no division by a small
    probability. Label smoothing (Szegedy et al. 2016) replaces onehot(t) by (1 - ε) onehot(t) + ε / k.
    """

    label_dtype = np.int32

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._at_label = np.zeros(len(self.outputs), outputs.dtype)
        self._indices = np.zeros_like(self.place_labels) if self.skips(settings) else self.place_labels

    @classmethod
    def of(cls, settings: Any) -> type[Loss]:
        return OneHotSoftmaxCrossEntropy if settings.one_hot else cls

    @classmethod
    def skips(cls, settings: Any) -> bool:
        return settings.ignore_class is not None

    def flat_labels(self, places: int) -> Shape:
        return (places,)

    @classmethod
    def label_shape(cls, output_shape: Shape) -> Shape:
        return output_shape[:-1]

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None, settings: Any = None) -> Encoded:
        return class_indices(labels, getattr(settings, "ignore_class", None)) if texts is None else named(labels, texts)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        return distinct(labels)

    @classmethod
    def label_counts(cls, labels: AnyArray, classes: int) -> NDArray[np.float64]:
        return np.bincount(labels[labels >= 0], minlength=classes).astype(np.float64)

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        return generator.integers(0, output_shape[-1], (rows, *output_shape[:-1]))

    def measure(self) -> None:
        exponentials, flat, losses = self.gradient, self.gradient.reshape(-1), self.losses
        if self._indices is not self.place_labels:
            np.maximum(self.place_labels, 0, out=self._indices)  # any class at places that do not count
        self._shift(self.outputs, exponentials)
        np.add(self._row_starts, self._indices, out=self._places)
        flat.take(self._places, out=self._at_label, mode="clip")
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
            self._class_weight.take(self._indices, out=self.weights, mode="clip")
        self._count_hits(self._indices)

    def differentiate(self, factors: Floats) -> None:
        gradient, flat = self.gradient, self.gradient.reshape(-1)
        np.divide(factors, self._total, out=self._row)
        np.multiply(gradient, self._row, out=gradient)
        if self._spread:
            np.multiply(factors, self._spread / self.outputs.shape[1], out=self._row)
            np.subtract(gradient, self._row, out=gradient)
            np.multiply(factors, 1 - self._spread, out=factors)
        flat.take(self._places, out=self._at_label, mode="clip")
        np.subtract(self._at_label, factors[:, 0], out=self._at_label)
        flat[self._places] = self._at_label


class OneHotSoftmaxCrossEntropy(_Softmax):
    """-Σ_k t_k log softmax(y)_k at each place, with a probability t_k for each class as label.

    With s = Σ_k t_k, which is 1 up to rounding, the derivative is s softmax(y) - t; see `SoftmaxCrossEntropy`.
    """

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._mass = np.zeros((len(self.outputs), 1), outputs.dtype)
        self._true = np.zeros(len(self.outputs), np.intp)

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None, settings: Any = None) -> Encoded:
        return probabilities(labels)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        return np.flatnonzero(labels.any(axis=tuple(range(labels.ndim - 1))))

    @classmethod
    def label_counts(cls, labels: AnyArray, classes: int) -> NDArray[np.float64]:
        counts: NDArray[np.float64] = labels.sum(axis=tuple(range(labels.ndim - 1)), dtype=np.float64)
        return counts

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        *places, classes = output_shape
        return np.eye(classes)[generator.integers(0, classes, (rows, *places))]

    def _smooth(self, out: Floats) -> None:
        np.multiply(self.place_labels, 1 - self._spread, out=out)
        np.add(out, self._spread / out.shape[1], out=out)

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
            np.matmul(self.place_labels, self._class_weight, out=self.weights)
        np.argmax(self.place_labels, axis=1, out=self._true)
        self._count_hits(self._true)

    def differentiate(self, factors: Floats) -> None:
        gradient, target = self.gradient, self.scratch
        np.divide(self._mass, self._total, out=self._row)
        np.multiply(gradient, self._row, out=gradient)
        self._smooth(target)
        np.subtract(gradient, target, out=gradient)
        np.multiply(gradient, factors, out=gradient)


class KlDivergence(OneHotSoftmaxCrossEntropy):
    """Σ_k t_k (log t_k - log softmax(y)_k) at each place, with a probability t_k for each class as label.

    The divergence of Kullback and Leibler (1951); 0 log 0 is 0. It is the cross-entropy minus the entropy of the label,
    so the derivative is that of the cross-entropy. Keras takes probabilities and clips them and the labels at 1e-7.
    """

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None, settings: Any = None) -> Encoded:
        return probabilities(labels, "kl_divergence")

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        return generator.dirichlet(np.ones(output_shape[-1]), (rows, *output_shape[:-1]))

    def measure(self) -> None:
        super().measure()
        logarithms, entropy = self.scratch, self._row[:, 0]
        least = np.finfo(self.outputs.dtype).tiny  # its logarithm is finite
        np.maximum(self.place_labels, least, out=logarithms)
        np.log(logarithms, out=logarithms)
        np.vecdot(self.place_labels, logarithms, out=entropy)
        np.add(self.losses, entropy, out=self.losses)
