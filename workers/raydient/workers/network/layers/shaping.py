"""Layers that change the shape of a sample and not its values."""

from collections.abc import Sequence
from math import prod

import numpy as np

from raydient.spec import layers as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Pass, Shape, Views, shape_text


class _Reshaping(Layer):
    """The same memory under another shape, forward and backward."""

    output_is_view = True
    gradient_is_view = True
    rearranges = True

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        """Do nothing: y is x."""

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """Do nothing: dx is dy."""

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("Reshape", [xs[0], graph.constant([0, *self.output_shape])])  # 0: any number of rows


class Flatten(_Reshaping):
    """One vector per sample."""

    kind = "flatten"

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Flatten) -> None:
        super().__init__(name, input_shapes, settings)
        self.output_shape = (prod(self.input_shape),)


class Reshape(_Reshaping):
    """The values of a sample in another shape, the last axis running fastest."""

    kind = "reshape"

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Reshape) -> None:
        super().__init__(name, input_shapes, settings)
        self.output_shape = tuple(settings.shape)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Reshape) -> str | None:
        have, want = prod(input_shapes[0]), prod(settings.shape)
        return (
            None
            if have == want
            else f"gives samples {shape_text(tuple(settings.shape))}, {want} values instead of {have}"
        )


class Transpose(Layer):
    """The axes of a sample in another order; backward is the transposition by the inverse order."""

    kind = "transpose"
    rearranges = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Transpose) -> None:
        super().__init__(name, input_shapes, settings)
        self.output_shape = tuple(self.input_shape[axis] for axis in settings.axes)
        self._forward_axes = (0, *(1 + axis for axis in settings.axes))
        self._backward_axes = tuple(np.argsort(self._forward_axes))

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Transpose) -> str | None:
        rank = len(input_shapes[0])
        if len(settings.axes) == rank:
            return None
        return f"has {len(settings.axes)} axes: name each of the {rank}, 0 to {rank - 1}, once"

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        np.copyto(buffers.y, buffers.x.transpose(self._forward_axes))

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        if buffers.dx is not None:
            np.copyto(buffers.dx, buffers.dy.transpose(self._backward_axes))

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("Transpose", xs, perm=self._forward_axes)
