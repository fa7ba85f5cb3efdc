"""Repetition of the places of sequences and images."""

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Pass, Shape, Views
from .windows import SAMPLES_BY_DIMENSIONS


class _UpSampling(Layer):
    """y[i, j] = x[i // s, j // t] for images, likewise for sequences; dx is the sum of dy over copies of a place."""

    dimensions: ClassVar[int]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        super().__init__(name, input_shapes, settings)
        *places, channels = self.input_shape
        sizes = [settings.size] if self.dimensions == 1 else list(settings.size) * (2 // len(settings.size))
        self.output_shape = (*(n * size for n, size in zip(places, sizes, strict=True)), channels)
        pairs = list(zip(places, sizes, strict=True))
        self._apart = (*(n for pair in pairs for n in pair), channels)
        self._single = (*(n for place in places for n in (place, 1)), channels)
        self._copies = tuple(range(2, 2 * self.dimensions + 1, 2))
        self.operations = prod(self.output_shape)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        fits = len(input_shapes[0]) == cls.dimensions + 1
        return None if fits else f"takes {SAMPLES_BY_DIMENSIONS[cls.dimensions]}: add `reshape` before it"

    def _by_copy(self, values: Floats) -> Floats:
        """A view of an array like y with an axis for the copies of each axis of places."""
        return values.reshape(len(values), *self._apart)

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        np.copyto(self._by_copy(buffers.y), buffers.x.reshape(len(buffers.x), *self._single))

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        if buffers.dx is not None:
            np.add.reduce(self._by_copy(buffers.dy), axis=self._copies, out=buffers.dx)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        apart = graph.node("Reshape", [xs[0], graph.constant([0, *self._single])])
        copied = graph.node("Expand", [apart, graph.constant([1, *self._apart])])
        return graph.node("Reshape", [copied, graph.constant([0, *self.output_shape])])


class UpSampling1d(_UpSampling):
    kind = "up_sampling1d"
    dimensions = 1


class UpSampling2d(_UpSampling):
    kind = "up_sampling2d"
    dimensions = 2
