"""The mean over a whole sequence or image."""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from raydient.spec import pooling as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Pass, Shape, Views
from .windows import SAMPLES_BY_DIMENSIONS


class GlobalAveragePooling(Layer):
    """y = the mean of each channel of x (rows, places, channels); dx is dy / places at each place."""

    dimensions: ClassVar[int]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.GlobalPooling) -> None:
        super().__init__(name, input_shapes, settings)
        *axes, channels = self.input_shape
        self._places = prod(axes)
        self.output_shape = (channels,)
        self.operations = prod(self.input_shape)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.GlobalPooling) -> str | None:
        fits = len(input_shapes[0]) == cls.dimensions + 1
        return None if fits else f"takes {SAMPLES_BY_DIMENSIONS[cls.dimensions]}: add `reshape` before it"

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        x, y = buffers.x.reshape(len(buffers.x), self._places, -1), buffers.y
        np.add.reduce(x, axis=1, out=y)
        np.multiply(y, 1 / self._places, out=y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        if buffers.dx is not None:
            dx = buffers.dx.reshape(len(buffers.dx), self._places, -1)
            np.multiply(buffers.dy[:, np.newaxis], 1 / self._places, out=dx)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        axes = graph.constant(list(range(1, self.dimensions + 1)))
        return graph.node("ReduceMean", [xs[0], axes], keepdims=0)


class GlobalAveragePooling1d(GlobalAveragePooling):
    kind = "global_average_pooling1d"
    dimensions = 1


class GlobalAveragePooling2d(GlobalAveragePooling):
    kind = "global_average_pooling2d"
    dimensions = 2
