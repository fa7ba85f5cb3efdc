"""The base class of activations: a function beside its derivative, both in place."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from raydient.steps.arrays import AnyArray, Floats

from .onnx_graph import OnnxGraph

Saved = Mapping[str, AnyArray]
NOTHING: Saved = MappingProxyType({})


class Activation(ABC):
    """A function applied to each value, or to each vector along the last axis: y = f(z).

    `scratch` is an array like `y` whose contents are lost. `saved` holds the arrays of `Activation.saved`: forward
    fills them for backward, which may overwrite them. The methods allocate nothing.

    Attributes:
        trains: False if the derivative is 0 everywhere, so that no layer before it would learn.
    """

    trains: ClassVar[bool] = True

    def __init__(self, settings: Any) -> None:
        """`settings` are those of the activation in the specification."""
        self.settings = settings

    @property
    def rectifies(self) -> bool:
        """True if f and its derivative are 0 for every z below 0, so that a unit can die."""
        return False

    def saved(self, shape: tuple[int, ...]) -> Mapping[str, tuple[tuple[int, ...], DTypeLike | None]]:
        """Arrays to keep for a z of `shape`, by name, in the form of `Layer.saved`."""
        return {}

    @abstractmethod
    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        """Replace z by f(z), in `y`."""

    @abstractmethod
    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        """Multiply `dy`, the derivative of the loss by y, by f'(z), which makes it the derivative by z."""

    @abstractmethod
    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        """Add the operators of f to `graph`; return the name of f(z) there."""


def logistic_of_negative(z: Floats) -> None:
    """Replace -z, in `z`, by the logistic sigmoid of z."""
    np.exp(z, out=z)
    np.add(z, 1, out=z)
    np.reciprocal(z, out=z)
