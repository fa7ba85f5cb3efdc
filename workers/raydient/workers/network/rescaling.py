"""The step that brings the values of images to numbers from 0 to 1."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from .layers import Shape
from .onnx_graph import OnnxGraph
from .transform import FigureError, Floats64, Settings, Transform, check_shape

LARGEST = 255.0
"""Largest value of a pixel."""


@dataclass(frozen=True, eq=False)
class Rescaling(Transform):
    """x → x / divisor for all features.

    Attributes:
        divisor: (1,), above 0.
    """

    divisor: Floats64

    kind: ClassVar[str] = "rescaling"
    types: ClassVar[dict[str, type[Any]]] = {"divisor": np.float64}

    @classmethod
    def to_unit(cls) -> Self:
        """Return the step of images."""
        return cls(np.array([LARGEST]))

    @property
    def settings(self) -> Settings:
        """See `Transform`. All features have that of the first."""
        return {"rescale": {0: str(self.divisor[0])}}

    def check(self, shape: Shape) -> None:
        """See `Transform`."""
        check_shape("divisor", self.divisor, (1,))
        if self.divisor[0] <= 0:
            raise FigureError("divisor", "the number is not above 0")

    def apply(self, x: Floats64) -> Floats64:
        """See `Transform`."""
        return x / self.divisor

    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """See `Transform`."""
        return graph.node("Div", [x, graph.constant(self.divisor, exact=True)])
