"""Losses of two classes, with one output for each label."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.functions import log1p
from raydient.workers.network.activations import Sigmoid
from raydient.workers.network.onnx_graph import OnnxGraph

from .labels import Encoded, Labels, one_column, two_categories, zeros_and_ones
from .loss import Loss, Shape


class TwoClasses(Loss):
    """Outputs y, above 0 for the class 1, with labels t of 0 and 1 of the same shape, averaged over a row's outputs.

    Several outputs are labels that do not exclude each other (multi-label classification), or positions.

    Attributes:
        class_weight: factors of the losses of the labels 0 and 1; empty: 1.
    """

    metric_names = ("loss", "accuracy")

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self._hit = np.zeros(self.outputs.shape, np.bool_)
        self.class_weight: tuple[float, ...] = settings.class_weight

    @classmethod
    def shape_problem(cls, output_shape: Shape) -> str | None:
        return None if output_shape else "takes at least one output per sample"

    @classmethod
    def place_count(cls, output_shape: Shape) -> int:
        return prod(output_shape)

    @classmethod
    def class_count(cls, output_shape: Shape) -> int:
        return 2

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None, settings: Any = None) -> Encoded:
        if texts is None:
            return zeros_and_ones(labels)
        if isinstance(labels, np.ndarray):
            one_column(labels, "a loss of two classes with categories")
        return two_categories(texts)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        return np.flatnonzero([(labels == 0).any(), (labels == 1).any()])

    @classmethod
    def label_counts(cls, labels: AnyArray, classes: int) -> NDArray[np.float64]:
        return np.array([np.count_nonzero(labels == 0), np.count_nonzero(labels == 1)], np.float64)

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        return generator.integers(0, 2, (rows, *output_shape))

    def weigh_and_count(self) -> None:
        """Set the weights of the places by class, and count the outputs on the right side of 0."""
        if self.class_weight:
            zero, one = self.class_weight
            np.multiply(self.place_labels[:, 0], one - zero, out=self.weights)
            np.add(self.weights, zero, out=self.weights)
        np.greater(self.outputs, 0, out=self._hit)
        np.equal(self._hit, self.place_labels, out=self._hit)
        self.sums[1] = self.places.sum_of_means(self._hit[:, 0])


class Logits(TwoClasses):
    """Outputs y are logits: the probability of the class 1 is sigmoid(y)."""

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        super().__init__(settings, outputs, gradient, scratch)
        self.sigmoid = Sigmoid(None)

    @classmethod
    def classify(cls, predictions: NDArray[np.float32]) -> NDArray[np.int32] | None:
        return _without_last_of_one(predictions > 0.5)

    def inplace_predict(self, outputs: Floats) -> None:
        self.sigmoid.inplace_forward(outputs, self.scratch)

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        return graph.node("Sigmoid", [outputs])


class BinaryCrossEntropy(Logits):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(y) for each output: y is a logit.

    Written as max(y, 0) - y t + log(1 + exp(-|y|)), which neither overflows nor cancels; derivative p - t. Label
    smoothing replaces t by (1 - ε) t + ε / 2.
    """

    def _smooth(self, out: Floats) -> None:
        np.multiply(self.place_labels, 1 - self.settings.label_smoothing, out=out)
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
        self.weigh_and_count()

    def differentiate(self, factors: Floats) -> None:
        gradient, target = self.gradient, self.scratch
        np.copyto(gradient, self.outputs)
        self.sigmoid.inplace_forward(gradient, target)
        self._smooth(target)
        np.subtract(gradient, target, out=gradient)
        np.multiply(gradient, factors, out=gradient)


class Hinge(TwoClasses):
    """max(0, 1 - s y) for each output with s = 2 t - 1, which is -1 or 1; derivative -s where that is above 0, else 0.

    Cortes and Vapnik (1995). Outputs on the right side and at least 1 away from 0 do not contribute.
    """

    def _signs_and_margins(self) -> tuple[Floats, Floats]:
        signs, margins = self.gradient, self.scratch
        np.multiply(self.place_labels, 2, out=signs)
        np.subtract(signs, 1, out=signs)
        np.multiply(signs, self.outputs, out=margins)
        np.subtract(1, margins, out=margins)
        return signs, margins

    def measure(self) -> None:
        _, margins = self._signs_and_margins()
        margins[:, 0].clip(0, np.inf, out=self.losses)
        self.weigh_and_count()

    def differentiate(self, factors: Floats) -> None:
        signs, margins = self._signs_and_margins()
        np.greater(margins, 0, out=margins, casting="unsafe")
        np.multiply(signs, margins, out=signs)
        np.negative(signs, out=signs)
        np.multiply(signs, factors, out=signs)

    @classmethod
    def classify(cls, predictions: NDArray[np.float32]) -> NDArray[np.int32] | None:
        return _without_last_of_one(predictions > 0)

    def inplace_predict(self, outputs: Floats) -> None:
        """Do nothing: an output is a distance, not a probability."""


def _without_last_of_one(classes: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return classes as int32, without a last axis of length 1."""
    return np.asarray(classes[..., 0] if classes.shape[-1] == 1 else classes, np.int32)
