"""The base class of losses: value, metrics and derivative side by side."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .labels import Encoded, Labels, targets

Shape = tuple[int, ...]


class Loss(ABC):
    """The loss at one output of a program.

    `outputs` (rows, k) is the output of the layer, `gradient` is an array like it for the derivative of the loss by it,
    and `scratch` an array like it whose contents are lost between calls. `settings` are those of the loss in the
    specification.

    Attributes:
        metric_names: names of the values that `forward` sums over the rows, the loss first.
        labels: (rows, *label shape), filled by the caller.
        weights: (rows,), factor of each row's loss: the weight of its class, or 1. Metrics are not weighted.
        sample_weights: (rows,), further factors of the rows, filled by the caller, or None.
        losses: (rows,), the loss of each row.
        sums: float64, one value for each of `metric_names`.
    """

    metric_names: ClassVar[tuple[str, ...]]
    label_dtype: ClassVar[type[np.generic]] = np.float32

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        self.settings = settings
        self.outputs, self.gradient, self.scratch = outputs, gradient, scratch
        dtype = outputs.dtype if np.issubdtype(self.label_dtype, np.floating) else self.label_dtype
        self.labels = np.zeros((len(outputs), *self.label_shape(outputs.shape[1:])), dtype)
        self.weights = self._weights = np.ones(len(outputs), outputs.dtype)
        self.sample_weights: Floats | None = None
        self.sums = np.zeros(len(self.metric_names))
        self.losses = np.zeros(len(outputs), outputs.dtype)
        self._factors = np.zeros((len(outputs), 1), outputs.dtype)

    def weigh_samples(self, weights: Floats) -> None:
        """Use `weights` as `sample_weights`."""
        self.sample_weights, self._weights = weights, np.ones_like(self.weights)

    @classmethod
    def of(cls, settings: Any) -> "type[Loss]":
        """The class for these settings, which may decide on the form of the labels."""
        return cls

    @classmethod
    def shape_problem(cls, output_shape: Shape) -> str | None:
        """The reason why the loss cannot take outputs of this shape, with a remedy, or None."""
        return None if len(output_shape) == 1 else "takes one vector per sample: add `flatten` after the last layer"

    @classmethod
    def weight_problem(cls, settings: Any, output_shape: Shape) -> str | None:
        """The reason why the class weights in the settings do not fit outputs of this shape, or None."""
        count, classes = len(getattr(settings, "class_weight", ())), max(output_shape[0], 2)
        return None if count in (0, classes) else f"has {count} weights for {classes} classes"

    @classmethod
    def label_shape(cls, output_shape: Shape) -> Shape:
        """Shape of one sample's label."""
        return output_shape

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        """Random labels that the loss accepts, (rows, *label shape), for checks without data."""
        return generator.standard_normal((rows, *output_shape))

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None) -> Encoded:
        """Encode the labels of a data file as an array (n, *label shape) of the type of `labels`.

        Args:
            labels: numbers (n,) or (n, k), or n texts.
            texts: the same labels as they are written, if the settings take them as `categories`.

        Raises:
            LabelError: the labels do not fit the loss.
        """
        return targets(labels)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        """Return the classes among encoded labels (n, *label shape), ascending; none if labels are not classes."""
        return np.empty(0, np.int64)

    @classmethod
    def classify(cls, predictions: NDArray[np.float32]) -> NDArray[np.int32] | None:
        """Return the most probable class of each prediction, (n,); None if labels are not classes."""
        return None

    def forward(self) -> None:
        """Compute `sums` from outputs, labels and weights."""
        self.measure()
        if self.sample_weights is not None:
            np.multiply(self.weights, self.sample_weights, out=self._weights)
        np.multiply(self.losses, self._weights, out=self.losses)
        self.sums[0] = np.add.reduce(self.losses, dtype=np.float64)

    def backward(self, scale: float) -> None:
        """Compute `gradient`, the derivative of `scale` times the loss by the outputs. Call once after `forward`."""
        factors = self._factors
        np.multiply(self._weights, scale, out=factors[:, 0])
        self.differentiate(factors)

    @abstractmethod
    def measure(self) -> None:
        """Compute `losses` and all sums but the first. `gradient` may keep values for `differentiate`."""

    @abstractmethod
    def differentiate(self, factors: Floats) -> None:
        """Compute `gradient`: the derivative of each row's loss by its outputs, times its factor of (rows, 1)."""

    @abstractmethod
    def inplace_predict(self, outputs: Floats) -> None:
        """Apply the activation that the loss assumes, if any, to `outputs`."""

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        """Add the operators of that activation to `graph`; return the name of the prediction there."""
        return outputs
