"""Activations: each function beside its derivative, both in place. The derivative is computed from the output.

Where the output does not determine the derivative, the layer keeps an array from forward to backward (`saved`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import pi, sqrt
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from raydient.spec import functions as spec
from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.functions import expm1, log1p

from .onnx_graph import OnnxGraph

Saved = Mapping[str, AnyArray]
FLOAT = 1
"""ONNX's number for float32."""
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


class Identity(Activation):
    """f(z) = z."""

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        """Do nothing."""

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        """Do nothing: f' = 1."""

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return z


class Sigmoid(Activation):
    """f(z) = 1 / (1 + exp(-z)), f' = f (1 - f). It is at most 1/4, so gradients vanish in deep stacks of it."""

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        y.clip(-87, np.inf, out=y)  # exp(88.8) overflows float32, and 1 / (1 + exp(87)) is its smallest normal number
        np.negative(y, out=y)
        _logistic_of_negative(y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.subtract(1, y, out=scratch)
        np.multiply(scratch, y, out=scratch)
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Sigmoid", [z])


class Tanh(Activation):
    """f(z) = tanh(z), f' = 1 - f²."""

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.tanh(y, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
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

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        y.clip(0, np.inf, out=y)  # three times as fast as np.maximum(y, 0)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        # a product with 0 and 1 has no branches: ten times as fast as an assignment by a mask
        np.greater(y, 0, out=scratch, casting="unsafe")
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Relu", [z])


class LeakyRelu(Activation):
    """f(z) = max(z, slope · z) with a slope in [0, 1), f' = 1 where f > 0 and the slope elsewhere."""

    @property
    def rectifies(self) -> bool:
        return bool(self.settings.negative_slope == 0)

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.multiply(y, self.settings.negative_slope, out=scratch)
        np.maximum(y, scratch, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.greater(y, 0, out=scratch, casting="unsafe")
        np.maximum(scratch, self.settings.negative_slope, out=scratch)
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("LeakyRelu", [z], alpha=self.settings.negative_slope)


class Elu(Activation):
    """f(z) = z where z > 0 and α (exp(z) - 1) elsewhere, f' = 1 where f > 0 and f + α elsewhere.

    Clevert, Unterthiner and Hochreiter (2016).
    """

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._scale, self._alpha = self._constants()

    def _constants(self) -> tuple[float, float]:
        """The slope above 0, and minus the limit of f below 0."""
        return 1.0, self.settings.alpha

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        y.clip(-np.inf, 0, out=scratch)
        expm1(scratch, scratch)
        np.multiply(scratch, self._alpha, out=scratch)
        y.clip(0, np.inf, out=y)
        np.multiply(y, self._scale, out=y)
        np.add(y, scratch, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        y.clip(-np.inf, 0, out=scratch)
        np.add(scratch, self._alpha, out=scratch)
        np.multiply(dy, scratch, out=dy)
        if self._alpha != self._scale:  # above 0 the factor was alpha; a second factor makes it the slope
            np.greater(y, 0, out=scratch, casting="unsafe")
            np.multiply(scratch, self._scale / self._alpha - 1, out=scratch)
            np.add(scratch, 1, out=scratch)
            np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Elu", [z], alpha=self.settings.alpha)


class Selu(Elu):
    """ELU times λ, with λ and α for which mean 0 and variance 1 are a fixed point (Klambauer et al. 2017)."""

    def _constants(self) -> tuple[float, float]:
        scale = 1.0507009873554805
        return scale, scale * 1.6732632423543772

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Selu", [z])


class Silu(Activation):
    """f(z) = z σ(z) with the logistic sigmoid σ, f' = σ + f (1 - σ) (Elfwing et al. 2018; also called swish).

    f is not monotonic, so it does not determine z: σ is saved.
    """

    def saved(self, shape: tuple[int, ...]) -> Mapping[str, tuple[tuple[int, ...], DTypeLike | None]]:
        return {"gate": (shape, None)}

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        gate = saved["gate"]
        y.clip(-87, np.inf, out=y)  # exp(88.8) overflows float32; f(z) is about -1e-36 for all z <= -87
        np.negative(y, out=gate)
        _logistic_of_negative(gate)
        np.multiply(y, gate, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        gate = saved["gate"]
        np.subtract(1, y, out=scratch)
        np.subtract(gate, 1, out=gate)
        np.multiply(gate, scratch, out=gate)
        np.add(gate, 1, out=gate)  # σ + f (1 - σ) = 1 + (σ - 1) (1 - f)
        np.multiply(dy, gate, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Mul", [z, graph.node("Sigmoid", [z])])


class Gelu(Silu):
    """f(z) = z (1 + tanh u) / 2 with u = √(2/π) (z + 0.044715 z³): the tanh form of Hendrycks and Gimpel (2016).

    It is within 5e-4 of the exact form z Φ(z), which needs an error function; NumPy has none. Written as z σ(2u),
    f' = σ + f (1 - σ) (2u)'. f does not determine z, so σ is saved; z is f / σ.
    """

    _LINEAR = 2 * sqrt(2 / pi)
    _CUBIC = 0.044715 * _LINEAR

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        gate = saved["gate"]
        y.clip(-10, np.inf, out=y)  # 2u is -87.3 there, and f -1e-37: see Silu
        y.clip(-10, 10, out=scratch)
        np.multiply(scratch, scratch, out=gate)
        np.multiply(gate, -self._CUBIC, out=gate)
        np.subtract(gate, self._LINEAR, out=gate)
        np.multiply(gate, scratch, out=gate)
        _logistic_of_negative(gate)
        np.multiply(y, gate, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        gate = saved["gate"]
        np.divide(y, gate, out=scratch)
        scratch.clip(-10, 10, out=scratch)
        np.multiply(scratch, scratch, out=scratch)
        np.multiply(scratch, 3 * self._CUBIC, out=scratch)
        np.add(scratch, self._LINEAR, out=scratch)
        np.multiply(scratch, y, out=scratch)
        scratch.clip(-1e30, 1e30, out=scratch)  # the factor is 0 where y is that large, and 0 times infinity is NaN
        np.subtract(1, scratch, out=scratch)
        np.subtract(gate, 1, out=gate)
        np.multiply(gate, scratch, out=gate)
        np.add(gate, 1, out=gate)  # with v = (2u)': σ + f v (1 - σ) = 1 + (σ - 1) (1 - f v)
        np.multiply(dy, gate, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Gelu", [z], approximate="tanh")


class Softplus(Activation):
    """f(z) = log(1 + exp(z)), written as max(z, 0) + log(1 + exp(-|z|)); f' = σ(z) = 1 - exp(-f)."""

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.copysign(y, -1, out=scratch)
        np.exp(scratch, out=scratch)
        log1p(scratch, scratch)
        y.clip(0, np.inf, out=y)
        np.add(y, scratch, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.negative(y, out=scratch)
        expm1(scratch, scratch)
        np.negative(scratch, out=scratch)
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Softplus", [z])


class Softmax(Activation):
    """f(z)_k = exp(z_k) / Σ_j exp(z_j) along the last axis; backward dz_k = f_k (dy_k - Σ_j dy_j f_j).

    Every output depends on the whole vector: the derivative is the matrix diag(f) - f fᵀ, and dz is dy times it.
    """

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        per_vector = scratch[..., :1]
        np.maximum.reduce(y, axis=-1, keepdims=True, out=per_vector)
        np.subtract(y, per_vector, out=y)
        np.exp(y, out=y)
        np.add.reduce(y, axis=-1, keepdims=True, out=per_vector)
        np.divide(y, per_vector, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.vecdot(y, dy, out=scratch[..., 0])
        np.subtract(dy, scratch[..., :1], out=dy)
        np.multiply(dy, y, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Softmax", [z], axis=-1)


class HardStep(Activation):
    """f(z) = 1 where z >= 0 and 0 elsewhere, f' = 0. For inference only: no layer before it would learn."""

    trains = False

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        np.heaviside(y, 1, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        dy.fill(0)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Cast", [graph.node("GreaterOrEqual", [z, graph.constant(0.0)])], to=FLOAT)


def _logistic_of_negative(z: Floats) -> None:
    """Replace -z, in `z`, by the logistic sigmoid of z."""
    np.exp(z, out=z)
    np.add(z, 1, out=z)
    np.reciprocal(z, out=z)


ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": Relu,
    "leaky_relu": LeakyRelu,
    "elu": Elu,
    "selu": Selu,
    "gelu": Gelu,
    "silu": Silu,
    "softplus": Softplus,
    "softmax": Softmax,
    "hard_step": HardStep,
}


def activation(choice: spec.Activation) -> Activation:
    """The activation that a specification chooses."""
    return ACTIVATIONS[choice.kind](choice.value)
