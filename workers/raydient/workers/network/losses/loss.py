"""What every loss is: value, metrics and derivative, side by side."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from raydient.workers.network.onnx_graph import OnnxGraph

from .labels import Encoded, Labels, targets

Array = NDArray[np.floating]
Shape = tuple[int, ...]


class Loss(ABC):
    """A loss at the end of one program, over buffers that it is given.

    `outputs` (rows, k) is what the last layer computes, `gradient` like it takes the derivative of the loss by it,
    `scratch` like it may be used within a call; `settings` is what the specification holds under the loss's name.

    Attributes:
        metric_names: what `forward` sums over the rows, the loss first.
        labels: (rows, *label shape), filled by the caller.
        weights: (rows,), factors of each row's loss by its class: 1, or its class's weight. Metrics are not weighted.
        sample_weights: (rows,), further factors by the row, filled by the caller; None where there are none.
        sums: float64, one value per metric name.
    """

    metric_names: ClassVar[tuple[str, ...]]
    label_dtype: ClassVar[type[np.generic]] = np.float32

    def __init__(self, settings: Any, outputs: Array, gradient: Array, scratch: Array) -> None:
        self.settings = settings
        self.outputs, self.gradient, self.scratch = outputs, gradient, scratch
        dtype = outputs.dtype if np.issubdtype(self.label_dtype, np.floating) else self.label_dtype
        self.labels = np.zeros((len(outputs), *self.label_shape(outputs.shape[1:])), dtype)
        self.weights = self._weights = np.ones(len(outputs), outputs.dtype)
        self.sample_weights: Array | None = None
        self.sums = np.zeros(len(self.metric_names))
        self.losses = np.zeros(len(outputs), outputs.dtype)
        self._factors = np.zeros((len(outputs), 1), outputs.dtype)

    def weigh_samples(self, weights: Array) -> None:
        """Take `weights` for `sample_weights` from now on."""
        self.sample_weights, self._weights = weights, np.ones_like(self.weights)

    @classmethod
    def of(cls, settings: Any) -> "type[Loss]":
        """The class for these settings, where they decide on the form of the labels."""
        return cls

    @classmethod
    def shape_problem(cls, output_shape: Shape) -> str | None:
        """Why the loss cannot take outputs of this shape, and the mend; None if it can."""
        return None if len(output_shape) == 1 else "takes one vector per sample: add `flatten` after the last layer"

    @classmethod
    def weight_problem(cls, settings: Any, output_shape: Shape) -> str | None:
        """Why class weights in the settings do not fit outputs of this shape; None if they do, or there are none."""
        given, classes = len(getattr(settings, "class_weight", ())), max(output_shape[0], 2)
        return None if given in (0, classes) else f"has {given} weights for {classes} classes"

    @classmethod
    def label_shape(cls, output_shape: Shape) -> Shape:
        """Shape of one sample's label."""
        return output_shape

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> NDArray[Any]:
        """Labels that the loss accepts, (rows, *label shape), for checks where there are no data."""
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
        """Compute `gradient`, the derivative by outputs of `scale` times the sum over rows. Once after each forward."""
        factors = self._factors
        np.multiply(self._weights, scale, out=factors[:, 0])
        self.differentiate(factors)

    @abstractmethod
    def measure(self) -> None:
        """Compute each row's loss, `losses`, and the sums after the first; may leave in `gradient` what
        `differentiate` needs.
        """

    @abstractmethod
    def differentiate(self, factors: Array) -> None:
        """Compute `gradient`, the derivative of each row's loss by its outputs times its factor; (rows, 1)."""

    @abstractmethod
    def inplace_predict(self, outputs: Array) -> None:
        """Apply to `outputs` the activation that the loss assumes after them, if it assumes one."""

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        """The same as operators in `graph`; the name of the prediction there."""
        return outputs
