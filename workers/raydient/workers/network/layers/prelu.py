"""A rectifier whose slope below 0 is learned."""

from collections.abc import Sequence
from math import prod

import numpy as np

from raydient.spec import layers as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, learned


class Prelu(Layer):
    """y = x where x > 0 and α x elsewhere (He et al. 2015); dα = Σ dy · min(x, 0) and dx = dy or α dy.

    α has the shape of a sample, with length 1 along the shared axes, over which dα is summed too.
    """

    kind = "prelu"
    masked_by = slice(1)
    gradient_is_view = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Prelu) -> None:
        super().__init__(name, input_shapes, settings)
        shape = tuple(1 if n in settings.shared_axes else length for n, length in enumerate(self.input_shape, start=1))
        self._summed = (0, *settings.shared_axes)
        kind, size = learned(settings.alpha_regularizer), prod(shape)
        self.parameters = (ParameterRule("alpha", shape, settings.alpha_initializer, size, size, kind=kind),)
        self.operations = 2 * prod(self.input_shape)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Prelu) -> str | None:
        axes, largest = len(input_shapes[0]), max(settings.shared_axes, default=0)
        return None if largest <= axes else f"shares axis {largest}: there are {axes}"

    def work(self, rows: int) -> Memory:
        return {"is_negative": ((rows, *self.input_shape), np.bool_)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        x, y, is_negative = buffers.x, buffers.y, buffers.work["is_negative"]
        np.less(x, 0, out=is_negative)
        np.copyto(y, x)
        np.multiply(x, weights["alpha"], out=y, where=is_negative)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        x, dy, part, is_negative = buffers.x, buffers.dy, buffers.scratch, buffers.work["is_negative"]
        np.minimum(x, 0, out=part)
        np.multiply(part, dy, out=part)
        alpha = gradients["alpha"]
        np.add.reduce(part, axis=self._summed, keepdims=True, out=alpha[np.newaxis])
        np.less(x, 0, out=is_negative)
        np.multiply(dy, weights["alpha"], out=dy, where=is_negative)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("PRelu", [xs[0], graph.parameter("alpha")])
