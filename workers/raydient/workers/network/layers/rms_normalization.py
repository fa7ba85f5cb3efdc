"""Normalization of each vector by its root mean square."""

from collections.abc import Sequence
from math import prod

import numpy as np

from raydient.spec import normalization as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views
from .scale_and_shift import ONES


class RmsNormalization(Layer):
    """y = g n with n = x / r, r = √(mean(x²) + ε) along the last axis (Zhang and Sennrich 2019).

    With dn = g dy and means along the same axis, dx = (dn - n · mean(n · dn)) / r; dg = Σ n · dy over all axes but the
    last.
    """

    kind = "rms_normalization"
    masked_by = slice(1)
    gradient_is_view = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.RmsNormalization) -> None:
        super().__init__(name, input_shapes, settings)
        self._epsilon, self._size = settings.epsilon, self.output_shape[-1]
        self.parameters = (ParameterRule("scale", (self._size,), ONES, self._size, self._size),)
        self.operations = prod(self.output_shape) * 4

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.RmsNormalization) -> str | None:
        return None if input_shapes[0] else "takes vectors"

    def saved(self, rows: int) -> Memory:
        places = rows * prod(self.output_shape[:-1])
        return {"normalized": ((places, self._size), None), "inverse": ((places, 1), None)}

    def work(self, rows: int) -> Memory:
        return {"slope": ((rows * prod(self.output_shape[:-1]), 1), None)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        n, inverse = buffers.saved["normalized"], buffers.saved["inverse"]
        x, y = buffers.x.reshape(n.shape), buffers.y.reshape(n.shape)
        np.einsum("ij,ij->i", x, x, out=inverse[:, 0])
        np.divide(inverse, self._size, out=inverse)
        np.add(inverse, self._epsilon, out=inverse)
        np.sqrt(inverse, out=inverse)
        np.reciprocal(inverse, out=inverse)
        np.multiply(x, inverse, out=n)
        np.multiply(n, weights["scale"], out=y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        n, inverse, slope = buffers.saved["normalized"], buffers.saved["inverse"], buffers.work["slope"]
        dy, product = buffers.dy.reshape(n.shape), buffers.scratch.reshape(n.shape)
        np.multiply(n, dy, out=product)
        np.add.reduce(product, axis=0, out=gradients["scale"])
        if buffers.dx is None:
            return
        np.multiply(product, weights["scale"], out=product)
        np.mean(product, axis=1, keepdims=True, out=slope)
        np.multiply(dy, weights["scale"], out=dy)
        np.multiply(n, slope, out=product)
        np.subtract(dy, product, out=dy)
        np.multiply(dy, inverse, out=dy)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        squares = graph.node("ReduceMean", [graph.node("Mul", [xs[0], xs[0]]), graph.constant([-1])])
        root = graph.node("Sqrt", [graph.node("Add", [squares, graph.constant(self._epsilon)])])
        return graph.node("Mul", [graph.node("Div", [xs[0], root]), graph.parameter("scale")])
