"""Layer normalization: each sample by its own statistics along the last axis."""

from collections.abc import Sequence
from math import prod

import numpy as np

from raydient.spec import normalization as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views
from .scale_and_shift import scale_and_shift


class LayerNormalization(Layer):
    """y = γ n + β with n = (x - μ) / s, s = √(σ² + ε): μ and σ² are mean and variance along the last axis (Ba et al.
    2016).

    With dn = γ dy and means along the same axis, dx = (dn - mean(dn) - n · mean(n · dn)) / s: y does not change if x is
    shifted or scaled, so the parts of dn in these two directions are removed. dγ = Σ n · dy and dβ = Σ dy over all axes
    but the last.
    """

    kind = "layer_normalization"
    masked_by = slice(1)
    gradient_is_view = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.LayerNormalization) -> None:
        super().__init__(name, input_shapes, settings)
        self._epsilon, self._scale, self._center = settings.epsilon, settings.scale, settings.center
        self._size = self.output_shape[-1]
        self.parameters = scale_and_shift(self._size, scale=self._scale, center=self._center)
        self.operations = prod(self.output_shape) * (5 + self._scale + self._center)

    def saved(self, rows: int) -> Memory:
        places = prod(self.output_shape[:-1])
        return {"normalized": ((rows * places, self._size), None), "inverse": ((rows * places, 1), None)}

    def work(self, rows: int) -> Memory:
        places = prod(self.output_shape[:-1])
        return {"along": ((rows * places, 1), None), "across": ((rows * places, 1), None)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        n, inverse, mean = buffers.saved["normalized"], buffers.saved["inverse"], buffers.work["along"]
        x, y = buffers.x.reshape(n.shape), buffers.y.reshape(n.shape)
        np.mean(x, axis=1, keepdims=True, out=mean)
        np.subtract(x, mean, out=n)
        np.einsum("ij,ij->i", n, n, out=inverse[:, 0])
        np.divide(inverse, self._size, out=inverse)
        np.add(inverse, self._epsilon, out=inverse)
        np.sqrt(inverse, out=inverse)
        np.reciprocal(inverse, out=inverse)
        np.multiply(n, inverse, out=n)
        if self._scale:
            np.multiply(n, weights["gamma"], out=y)
        else:
            np.copyto(y, n)
        if self._center:
            np.add(y, weights["beta"], out=y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        n, inverse = buffers.saved["normalized"], buffers.saved["inverse"]
        dy, product = buffers.dy.reshape(n.shape), buffers.scratch.reshape(n.shape)
        if self._center:
            np.add.reduce(dy, axis=0, out=gradients["beta"])
        np.multiply(n, dy, out=product)
        if self._scale:
            np.add.reduce(product, axis=0, out=gradients["gamma"])
        if buffers.dx is None:
            return
        mean, slope = buffers.work["along"], buffers.work["across"]
        if self._scale:
            np.multiply(dy, weights["gamma"], out=dy)
            np.multiply(product, weights["gamma"], out=product)
        np.mean(dy, axis=1, keepdims=True, out=mean)
        np.mean(product, axis=1, keepdims=True, out=slope)
        np.multiply(n, slope, out=product)
        np.subtract(dy, mean, out=dy)
        np.subtract(dy, product, out=dy)
        np.multiply(dy, inverse, out=dy)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        gamma = graph.parameter("gamma") if self._scale else graph.constant(np.ones(self._size))
        beta = [graph.parameter("beta")] if self._center else []
        return graph.node("LayerNormalization", [*xs, gamma, *beta], axis=-1, epsilon=self._epsilon)
