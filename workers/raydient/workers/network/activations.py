"""Activations: each function beside its derivative, both in place. The derivative is computed from the output.

Where the output does not determine the derivative, the layer keeps an array from forward to backward (`saved`).
"""

from typing import Any

import numpy as np

from raydient.spec import functions as spec
from raydient.steps.arrays import Floats
from raydient.workers.functions import expm1, log1p

from .activation_function import NOTHING, Activation, Saved, logistic_of_negative
from .gates import ExactGelu, Gelu, Silu
from .onnx_graph import OnnxGraph

FLOAT = 1
"""ONNX's number for float32."""


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
        logistic_of_negative(y)

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


ACTIVATIONS: dict[str, type[Activation]] = {
    "identity": Identity,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "relu": Relu,
    "leaky_relu": LeakyRelu,
    "elu": Elu,
    "selu": Selu,
    "gelu": Gelu,
    "exact_gelu": ExactGelu,
    "silu": Silu,
    "softplus": Softplus,
    "softmax": Softmax,
    "hard_step": HardStep,
}


def activation(choice: spec.Activation) -> Activation:
    """The activation that a specification chooses."""
    return ACTIVATIONS[choice.kind](choice.value)
