"""Activations f(z) = z g(z), whose gate g is between 0 and 1. They are not monotonic, so the gate is saved."""

from collections.abc import Mapping
from math import pi, sqrt

import numpy as np
from numpy.typing import DTypeLike

from raydient.steps.arrays import Floats
from raydient.workers.functions import normal_cdf

from .activation_function import NOTHING, Activation, Saved, logistic_of_negative
from .onnx_graph import OnnxGraph


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
        logistic_of_negative(gate)
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

    It is within 5e-4 of the exact form, `ExactGelu`, and takes less time. Written as z σ(2u),
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
        logistic_of_negative(gate)
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


class ExactGelu(Silu):
    """f(z) = z Φ(z) with the distribution function Φ of the normal distribution (Hendrycks and Gimpel 2016).

    f' = Φ + z φ(z) with the density φ(z) = exp(-z² / 2) / √(2π).

    f does not determine z, so Φ is saved; z is f / Φ.
    """

    _AT_0 = 1 / sqrt(2 * pi)

    def inplace_forward(self, y: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        gate = saved["gate"]
        y.clip(-12, np.inf, out=y)  # Φ is 1.8e-33 there, and f -2e-32: see Silu
        normal_cdf(y, gate)
        np.multiply(y, gate, out=y)

    def inplace_backward(self, y: Floats, dy: Floats, scratch: Floats, saved: Saved = NOTHING) -> None:
        gate = saved["gate"]
        np.divide(y, gate, out=scratch)  # z
        np.multiply(scratch, scratch, out=scratch)
        np.multiply(scratch, -0.5, out=scratch)
        np.exp(scratch, out=scratch)
        np.multiply(scratch, self._AT_0, out=scratch)
        np.multiply(scratch, y, out=scratch)
        np.divide(scratch, gate, out=scratch)  # z φ(z)
        np.add(scratch, gate, out=scratch)
        np.multiply(dy, scratch, out=dy)

    def to_onnx(self, graph: OnnxGraph, z: str) -> str:
        return graph.node("Gelu", [z])
