"""A step of the preparation of numbers, with figures that were fitted on the training part."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .layers import Shape
from .onnx_graph import OnnxGraph

Floats64 = NDArray[np.float64]
Places = NDArray[np.int64]
Texts = NDArray[np.str_]
Settings = Mapping[str, Mapping[int, str]]
"""Settings of `spec.columns.ColumnSettings`, by their names: the text of each feature's, by its place in a flattened
sample."""


class FitError(ValueError):
    """A feature to which a step cannot be fitted.

    Attributes:
        place: place of the feature in a sample.
    """

    def __init__(self, place: tuple[int, ...], message: str) -> None:
        super().__init__(message)
        self.place = place


class Transform(ABC):
    """A step of the preparation of numbers: a dataclass whose fields are arrays, stored with a model by their names.

    Its ONNX form computes the same float64 numbers as `apply`.
    """

    kind: ClassVar[str]
    """The step's name in files."""
    types: ClassVar[dict[str, type[Any]]]
    """NumPy type of each field."""

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The part of this step that the specification decides, without the figures that are fitted."""

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of a sample after this step, for its shape before."""
        return shape

    @abstractmethod
    def apply(self, x: Floats64) -> Floats64:
        """Return samples (n, *shape) after this step, in a new array; missing values are NaN."""

    @abstractmethod
    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """Add the operators of `apply` for samples of `shape`; `x` and the result are float64."""
