"""The mean or the largest value over a whole sequence or image."""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from raydient.spec import pooling as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views
from .windows import SAMPLES_BY_DIMENSIONS


class _GlobalPooling(Layer):
    """A function of each channel of x (rows, places, channels)."""

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


class GlobalAveragePooling(_GlobalPooling):
    """y = the mean of each channel of x (rows, places, channels); dx is dy / places at each place."""

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


class GlobalMaxPooling(_GlobalPooling):
    """y = the largest value of each channel of x (rows, places, channels); dx is dy at its place, 0 elsewhere.

    Of equal values the first counts.
    """

    def work(self, rows: int) -> Memory:
        """waiting: True until the place of the largest value is passed; largest: True at that place."""
        channels = (rows, *self.output_shape)
        return {"waiting": (channels, np.bool_), "largest": (channels, np.bool_)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        np.maximum.reduce(buffers.x.reshape(len(buffers.x), self._places, -1), axis=1, out=buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        if buffers.dx is None:
            return
        rows, waiting, largest = len(buffers.x), buffers.work["waiting"], buffers.work["largest"]
        x, dx = (array.reshape(rows, self._places, -1) for array in (buffers.x, buffers.dx))
        waiting.fill(True)
        for place in range(self._places):
            np.equal(x[:, place], buffers.y, out=largest)
            np.logical_and(largest, waiting, out=largest)
            np.multiply(buffers.dy, largest, out=dx[:, place])
            np.logical_xor(waiting, largest, out=waiting)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        axes = graph.constant(list(range(1, self.dimensions + 1)))
        return graph.node("ReduceMax", [xs[0], axes], keepdims=0)


class GlobalMaxPooling1d(GlobalMaxPooling):
    kind = "global_max_pooling1d"
    dimensions = 1


class GlobalMaxPooling2d(GlobalMaxPooling):
    kind = "global_max_pooling2d"
    dimensions = 2
