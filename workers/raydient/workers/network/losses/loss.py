"""The base class of losses: value, metrics and derivative side by side."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .labels import Encoded, Labels, targets
from .places import Places

Shape = tuple[int, ...]


class Loss(ABC):
    """The loss at one output of a program.

    A row has one or more places, and its loss is the mean over those that count. Softmax cross-entropy has a place for
    each position of a sequence or an image, a loss of two classes one for each of its outputs.

    `outputs` (rows, *output shape) is the output of the layer, `gradient` is an array like it for the derivative of the
    loss by it, and `scratch` an array like it whose contents are lost between calls. The attributes of these names are
    views of them, (rows · places, k). `settings` are those of the loss in the specification.

    Attributes:
        metric_names: names of the values that `forward` sums over the rows, the loss first.
        labels: (rows, *label shape), filled by the caller; `place_labels` is a view, (rows · places, ...).
        weights: (rows · places,), factor of each place's loss: the weight of its class, or 1. Metrics are not weighted.
        unit: float64 (k,), the unit of the labels' values in which metrics measure errors; None: 1. The loss has none.
        sample_weights: (rows,), further factors of the rows, filled by the caller, or None.
        losses: (rows · places,), the loss of each place times its factors and its share in the mean of the row.
        sums: float64, one value for each of `metric_names`.
    """

    metric_names: ClassVar[tuple[str, ...]]
    label_dtype: ClassVar[type[np.generic]] = np.float32

    def __init__(self, settings: Any, outputs: Floats, gradient: Floats, scratch: Floats) -> None:
        self.settings = settings
        rows, shape = len(outputs), outputs.shape[1:]
        count = self.place_count(shape)
        places = rows * count
        self.outputs, self.gradient, self.scratch = (
            array.reshape(places, -1) for array in (outputs, gradient, scratch)
        )
        dtype = outputs.dtype if np.issubdtype(self.label_dtype, np.floating) else self.label_dtype
        self.labels = np.zeros((rows, *self.label_shape(shape)), dtype)
        self.place_labels = self.labels.reshape(self.flat_labels(places))
        self.places = Places(rows, count, self.place_labels, outputs.dtype, skips=self.skips(settings))
        self.weights = self._weights = np.ones(places, outputs.dtype)
        if not self.places.are_whole_rows:
            self._weights = np.ones_like(self.weights)
        self.unit: NDArray[np.float64] | None = None
        self.sample_weights: Floats | None = None
        self.sums = np.zeros(len(self.metric_names))
        self.losses = np.zeros(places, outputs.dtype)
        self._factors = np.zeros((places, 1), outputs.dtype)

    def weigh_samples(self, weights: Floats) -> None:
        """Use `weights` as `sample_weights`."""
        self.sample_weights, self._weights = weights, np.ones_like(self.weights)

    @classmethod
    def place_count(cls, output_shape: Shape) -> int:
        """Number of places of a row."""
        return 1

    @classmethod
    def skips(cls, settings: Any) -> bool:
        """True if labels may mark places that do not count."""
        return False

    def flat_labels(self, places: int) -> Shape:
        """Shape of `place_labels`, for a number of rows · places."""
        return (places, -1)

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
        count, classes = len(getattr(settings, "class_weight", ())), cls.class_count(output_shape)
        return None if count in (0, classes) else f"has {count} weights for {classes} classes"

    @classmethod
    def class_count(cls, output_shape: Shape) -> int:
        """Number of classes that the settings may weigh; 0 if labels are not classes."""
        return 0

    @classmethod
    def label_shape(cls, output_shape: Shape) -> Shape:
        """Shape of one sample's label."""
        return output_shape

    @classmethod
    def random_labels(cls, generator: np.random.Generator, rows: int, output_shape: Shape) -> AnyArray:
        """Random labels that the loss accepts, (rows, *label shape), for checks without data."""
        return generator.standard_normal((rows, *output_shape))

    @classmethod
    def encode(cls, labels: Labels, texts: list[str] | None = None, settings: Any = None) -> Encoded:
        """Encode the labels of a data file as an array (n, *label shape) of the type of `labels`.

        Args:
            labels: numbers (n, ...), n texts, or an array of texts (n, ...).
            texts: the same labels in row-major order as they are written, if the settings take them as `categories`.
            settings: settings of the loss from the specification.

        Raises:
            LabelError: the labels do not fit the loss.
        """
        return targets(labels)

    @classmethod
    def occurring(cls, labels: AnyArray) -> NDArray[np.integer]:
        """Return the classes among encoded labels (n, *label shape), ascending; none if labels are not classes."""
        return np.empty(0, np.int64)

    @classmethod
    def label_counts(cls, labels: AnyArray, classes: int) -> NDArray[np.float64]:
        """Return the number of encoded labels of each class, (classes,); of probabilities their sum."""
        return np.zeros(classes)

    @classmethod
    def classify(cls, predictions: NDArray[np.float32]) -> NDArray[np.int32] | None:
        """Return the most probable class of each place, (n, *place shape); None if labels are not classes.

        A last axis of length 1 is left out.

        Args:
            predictions: (n, *output shape), with the activation that the loss assumes.
        """
        return None

    def forward(self) -> None:
        """Compute `sums` from outputs, labels and weights."""
        self.places.update()
        self.measure()
        if not self.places.are_whole_rows:
            np.multiply(self.weights, self.places.shares, out=self._weights)
            if self.sample_weights is not None:
                self.places.multiply_rows(self._weights, self.sample_weights)
        elif self.sample_weights is not None:
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
        """Compute `gradient`: the derivative of each place's loss by its outputs, times its factor of (places, 1)."""

    @abstractmethod
    def inplace_predict(self, outputs: Floats) -> None:
        """Apply the activation that the loss assumes, if any, to `outputs`, (rows · places, k)."""

    @classmethod
    def to_onnx(cls, graph: OnnxGraph, outputs: str) -> str:
        """Add the operators of that activation to `graph`; return the name of the prediction there."""
        return outputs
