"""Layers that merge several inputs. Where several layers read one value, `Program` adds up the derivatives."""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate, pairwise
from math import prod
from typing import ClassVar

import numpy as np

from raydient.spec import layers as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Pass, Shape, Views


class _Elementwise(Layer):
    """A merge of inputs of the same shape, value by value; by default y has that shape too."""

    inputs: ClassVar[tuple[int, int | None]] = (2, None)
    masked_by = slice(None)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Merge) -> None:
        super().__init__(name, input_shapes, settings)
        self.operations = (len(input_shapes) - 1) * prod(self.output_shape)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Merge) -> str | None:
        return None if len(set(input_shapes)) == 1 else "takes inputs of one shape"


class Add(_Elementwise):
    """y = Σ x_i; each dx_i = dy."""

    kind = "add"

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        first, second, *rest = buffers.xs
        np.add(first, second, out=buffers.y)
        for x in rest:
            np.add(buffers.y, x, out=buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        for dx in buffers.dxs:
            if dx is not None:
                np.copyto(dx, buffers.dy)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("Sum", xs)


class Multiply(_Elementwise):
    """y = Π x_i for each value; dx_i = dy · Π_j≠i x_j, computed as a product, because y / x_i may be 0 / 0."""

    kind = "multiply"

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        first, second, *rest = buffers.xs
        np.multiply(first, second, out=buffers.y)
        for x in rest:
            np.multiply(buffers.y, x, out=buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        for i, dx in enumerate(buffers.dxs):
            if dx is None:
                continue
            np.copyto(dx, buffers.dy)
            for j, x in enumerate(buffers.xs):
                if j != i:
                    np.multiply(dx, x, out=dx)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return reduce(lambda product, x: graph.node("Mul", [product, x]), xs)


class Concatenate(Layer):
    """The concatenation of the inputs along an axis of the sample; each dx_i is its part of dy."""

    kind = "concatenate"
    masked_by = slice(None)
    rearranges = True
    inputs = (2, None)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Concatenate) -> None:
        super().__init__(name, input_shapes, settings)
        axis = settings.axis % len(self.input_shape)
        sizes = [shape[axis] for shape in self.input_shapes]
        self.output_shape = (*self.input_shape[:axis], sum(sizes), *self.input_shape[axis + 1 :])
        self._axis = axis + 1  # the row axis, too
        before = (slice(None),) * self._axis
        self._parts = [(*before, slice(a, b)) for a, b in pairwise(accumulate(sizes, initial=0))]

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Concatenate) -> str | None:
        rank = len(input_shapes[0])
        if not -rank <= settings.axis < rank:
            return f"joins along axis {settings.axis}: the axes of a sample are 0 to {rank - 1}, or -{rank} to -1"
        axis = settings.axis % rank
        shapes = {(*shape[:axis], *shape[axis + 1 :]) for shape in input_shapes}
        same = len(shapes) == 1 and len({len(shape) for shape in input_shapes}) == 1
        return None if same else f"takes inputs that differ along axis {settings.axis} alone"

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        for part, x in zip(self._parts, buffers.xs, strict=True):
            np.copyto(buffers.y[part], x)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        for part, dx in zip(self._parts, buffers.dxs, strict=True):
            if dx is not None:
                np.copyto(dx, buffers.dy[part])

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("Concat", xs, axis=self._axis)


class Dot(_Elementwise):
    """y = Σ a · b along the last axis, whose length becomes 1. da = dy · b, db = dy · a."""

    kind = "dot"
    inputs = (2, 2)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Merge) -> None:
        super().__init__(name, input_shapes, settings)
        self.output_shape = (*self.input_shape[:-1], 1)
        self.operations = 2 * prod(self.input_shape)

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        a, b = buffers.xs
        np.einsum("...k,...k->...", a, b, out=buffers.y[..., 0])

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        for dx, factor in zip(buffers.dxs, reversed(buffers.xs), strict=True):
            if dx is not None:
                np.multiply(buffers.dy, factor, out=dx)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("ReduceSum", [graph.node("Mul", xs), graph.constant([-1])], keepdims=1)
