"""Activations: each function beside its derivative, both in place, the derivative told from the function's output."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec import functions as spec

from .onnx_graph import OnnxGraph

Array = NDArray[np.floating]


class Activation(ABC):
    """A function applied to each value, y = f(z).

    In both methods `scratch` is an array like `y` whose contents are lost. Nothing is allocated.
    """

    def __init__(self, settings: Any) -> None:
        """`settings` is what the specification holds under this activation's name."""
        self.settings = settings

    @property
    def rectifies(self) -> bool:
        """Whether it gives 0, and passes nothing back, for every z below 0: a unit may be stuck there."""
        return False

    @abstractmethod
    def inplace_forward(self, y: Array, scratch: Array) -> None:
        """Replace z, which `y` holds, by f(z)."""

    @abstractmethod
    def inplace_backward(self, y: Array, dy: Array, scratch: Array) -> None:
        """Multiply `dy`, the derivative of the loss by y, by f'(z): it becomes the derivative by z."""

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        """Add operators that compute f to `graph`; the name of f(z) there."""
        raise TypeError(f"{type(self).__name__} has no form in ONNX")


class Identity(Activation):
    """f(z) = z."""

    def inplace_forward(self, y: Array, scratch: Array) -> None:
        """Nothing to do."""

    def inplace_backward(self, y: Array, dy: Array, scratch: Array) -> None:
        """Nothing to do: f' = 1."""

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return z


class Sigmoid(Activation):
    """f(z) = 1 / (1 + exp(-z)), f' = f (1 - f): at most 1/4, which is how gradients vanish in deep stacks of it."""

    def inplace_forward(self, y: Array, scratch: Array) -> None:
        y.clip(-87, np.inf, out=y)  # exp(88.8) overflows float32, and 1 / (1 + exp(87)) is its smallest normal number
        np.negative(y, out=y)
        np.exp(y, out=y)
        np.add(y, 1, out=y)
        np.reciprocal(y, out=y)

    def inplace_backward(self, y: Array, dy: Array, scratch: Array) -> None:
        np.subtract(1, y, out=scratch)
        np.multiply(scratch, y, out=scratch)
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Sigmoid", [z])


class Tanh(Activation):
    """f(z) = tanh(z), f' = 1 - f²."""

    def inplace_forward(self, y: Array, scratch: Array) -> None:
        np.tanh(y, out=y)

    def inplace_backward(self, y: Array, dy: Array, scratch: Array) -> None:
        np.multiply(y, y, out=scratch)
        np.subtract(1, scratch, out=scratch)
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Tanh", [z])


class Relu(Activation):
    """f(z) = max(z, 0), f' = 1 where f > 0 and 0 elsewhere, z = 0 included."""

    @property
    def rectifies(self) -> bool:
        return True

    def inplace_forward(self, y: Array, scratch: Array) -> None:
        y.clip(0, np.inf, out=y)  # three times as fast as np.maximum(y, 0)

    def inplace_backward(self, y: Array, dy: Array, scratch: Array) -> None:
        # a product with 0 and 1 has no branches: ten times as fast as assigning where a mask says so
        np.greater(y, 0, out=scratch, casting="unsafe")
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Relu", [z])


class LeakyRelu(Activation):
    """f(z) = max(z, slope · z) with a slope in [0, 1), f' = 1 where f > 0 and the slope elsewhere."""

    @property
    def rectifies(self) -> bool:
        return bool(self.settings.negative_slope == 0)

    def inplace_forward(self, y: Array, scratch: Array) -> None:
        np.multiply(y, self.settings.negative_slope, out=scratch)
        np.maximum(y, scratch, out=y)

    def inplace_backward(self, y: Array, dy: Array, scratch: Array) -> None:
        np.greater(y, 0, out=scratch, casting="unsafe")
        np.maximum(scratch, self.settings.negative_slope, out=scratch)
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("LeakyRelu", [z], alpha=self.settings.negative_slope)


ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": Relu,
    "leaky_relu": LeakyRelu,
}


def activation(choice: spec.Activation) -> Activation:
    """The activation that a specification chooses."""
    return ACTIVATIONS[choice.kind](choice.value)
