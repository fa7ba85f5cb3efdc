"""A step of the preparation of numbers, with figures that were fitted on the training part."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
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


class FigureError(ValueError):
    """A field of a step that has no meaning.

    Attributes:
        name: of the field.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Transform(ABC):
    """A step of the preparation of numbers: a dataclass whose fields are arrays, stored with a model by their names.

    Its ONNX form computes the same float64 numbers as `apply`.
    """

    kind: ClassVar[str]
    """The step's name in files."""
    types: ClassVar[dict[str, type[Any]]]
    """NumPy type of each field."""

    @classmethod
    def needed(cls) -> list[str]:
        """The names of the fields without a default; the others say how the figures were computed."""
        return [one.name for one in fields(cls) if one.default_factory is MISSING]  # type: ignore[arg-type]

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The part of this step that the specification decides, without the figures that are fitted."""

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of a sample after this step, for its shape before."""
        return shape

    @abstractmethod
    def check(self, shape: Shape) -> None:
        """Check the fields of a step from a file for samples of a shape; the arrays have the types, and finite numbers.

        Raises:
            FigureError: a field has no meaning for such samples.
        """

    @abstractmethod
    def apply(self, x: Floats64) -> Floats64:
        """Return samples (n, *shape) after this step, in a new array; missing values are NaN."""

    @abstractmethod
    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """Add the operators of `apply` for samples of `shape`; `x` and the result are float64."""


def check_places(name: str, places: Places, size: int) -> None:
    """Raise FigureError if places of features are not ascending indices below `size`."""
    if places.ndim != 1 or (np.diff(places) <= 0).any() or ((places < 0) | (places >= size)).any():
        raise FigureError(name, f"ascending places below {size} are needed")


def check_shape(name: str, array: NDArray[Any], *shapes: Shape) -> None:
    """Raise FigureError if an array has none of some shapes."""
    if array.shape not in shapes:
        raise FigureError(name, f"its shape is {array.shape}, not {shapes[0]}")


def check_texts(name: str, texts: Texts, count: int, known: Iterable[str]) -> None:
    """Raise FigureError if settings are not one for each of `count` features, or one for all, among those known."""
    check_shape(name, texts, (count,), (1,))
    if unknown := sorted(set(texts.tolist()) - set(known)):
        raise FigureError(name, f"{unknown[0]!r:.100} is none of {', '.join(known)}")
