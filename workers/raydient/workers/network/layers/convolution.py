"""Convolutions: columns of a few images at a time, so that they stay in the cache, and one matrix product with each."""

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from raydient.spec import convolution as spec
from raydient.workers.network.activations import Saved, activation
from raydient.workers.network.onnx_graph import OnnxGraph

from .channels_first import onnx_attributes, to_channels_first, to_channels_last
from .columns import Block, Columns
from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views
from .spreading import Spreading
from .windows import Array, Axis, axis, both, fit_problem, geometry, rank_problem


class Convolution(Layer):
    """y = f(z), with f an activation and z the cross-correlation of x with a kernel that everybody calls convolution:

    z[n, p, q, f] = b[f] + Σ_ijc x[n, p s + i d, q s + j d, c] K[i, j, c, f], s the stride and d the dilation.

    x (rows, height, width, channels); K (kernel height, kernel width, channels / groups, filters); y (rows, p, q,
    filters). With X the matrix whose rows are the windows of x, z = X K + b, and the chain rule is that of a dense
    layer: dK = Xᵀ dz, db = Σ dz, dX = dz Kᵀ; dx adds dX up, each value where it was taken from. X is many times as
    large as x, so it is made anew for a few images at a time, backward as well as forward.
    """

    dimensions: ClassVar[int]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        super().__init__(name, input_shapes, settings)
        self._sliding = axes = self._axes(self.input_shape, settings)
        channels, filters = self.input_shape[-1], settings.filters
        self.output_shape = (*(one.positions for one in axes), filters)
        self._geometry, self._groups = geometry(axes), settings.groups
        self._columns = Columns(self._geometry, channels, self._groups)
        kernel = (*(one.window for one in axes), channels // self._groups, filters)
        fan_in, fan_out = prod(kernel[:-1]), prod(kernel[:-2]) * filters
        penalty = settings.kernel_regularizer
        self.parameters = (
            ParameterRule("kernel", kernel, settings.kernel_initializer, fan_in, fan_out, penalty=penalty),
        )
        self.operations = prod(self.output_shape) * (2 * fan_in + settings.use_bias)
        if settings.use_bias:
            self.parameters += (ParameterRule("bias", (filters,), settings.bias_initializer, fan_in, fan_out),)
        self.use_bias = settings.use_bias
        self.activation = activation(settings.activation)
        self.rectified_units = filters if self.activation.rectifies else 0

    @classmethod
    @abstractmethod
    def _axes(cls, shape: Shape, settings: Any) -> tuple[Axis, ...]:
        """The axes along which the kernel slides, for samples of this shape."""

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        (shape,), groups = input_shapes, settings.groups
        if problem := rank_problem(cls.dimensions, shape, settings.padding):
            return problem
        for count, what in ((shape[-1], "channels"), (settings.filters, "filters")):
            if count % groups:
                return f"has {groups} groups, which do not divide {count} {what}"
        return fit_problem("kernel", cls._axes(shape, settings))

    def saved(self, rows: int) -> Memory:
        return self.activation.saved((rows, *self.output_shape))

    def work(self, rows: int) -> Memory:
        images, down = self._columns.block_shape(rows)
        *_, filters = kernel = self.parameters[0].shape
        scratch = (images, down, self._geometry.width.positions, filters)
        spreading = self._spreading(rows)
        return {
            **self._columns.work(rows),
            **(spreading.work(images) if spreading else {}),
            "scratch": (scratch, None),
            "ones": ((prod(scratch[:3]),), None),
            "kernel": (kernel, None),
            "bias": ((filters,), None),
        }

    def forward(self, buffers: Buffers, weights: Views, this: Pass) -> None:
        x, y, work = self._geometry.images(buffers.x), self._geometry.results(buffers.y), buffers.work
        kernel = self._by_group(weights["kernel"])
        for block, columns in self._columns.of(x, work):
            z = y[block.images, block.rows]
            np.matmul(columns, kernel, out=self._by_group(z))
            if self.use_bias:
                np.add(z, weights["bias"], out=z)
            self.activation.inplace_forward(
                z, work["scratch"][: z.shape[0], : z.shape[1]], self._saved_of(block, buffers.saved)
            )

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        x, y, work = self._geometry.images(buffers.x), self._geometry.results(buffers.y), buffers.work
        dy = self._geometry.results(buffers.dy)
        dx = None if buffers.dx is None else self._geometry.images(buffers.dx)
        kernel = self._by_group(weights["kernel"])
        spreading = self._spreading(len(x))
        turned = spreading.turn(weights["kernel"], work) if spreading else kernel
        ones = work["ones"]
        ones.fill(1)
        sums = gradients  # the first block's go there, those of the others to `work` and from there are added
        for block, columns in self._columns.of(x, work):
            dz = dy[block.images, block.rows]
            scratch, saved = work["scratch"][: dz.shape[0], : dz.shape[1]], self._saved_of(block, buffers.saved)
            self.activation.inplace_backward(y[block.images, block.rows], dz, scratch, saved)
            np.matmul(columns.swapaxes(1, 2), self._by_group(dz), out=self._by_group(sums["kernel"]))
            if self.use_bias:
                rows = dz.reshape(-1, dz.shape[-1])
                np.matmul(ones[: len(rows)], rows, out=sums["bias"])  # five times as fast as a sum along the axis
            if sums is not gradients:
                for name, gradient in gradients.items():
                    np.add(gradient, sums[name], out=gradient)
            sums = work
            if dx is None:
                continue
            if spreading:
                d_padded = work["d_padded"][block.here] if self._geometry.is_padded else dx[block.images]
                spreading.spread(dz, turned, d_padded, work)
                if self._geometry.is_padded:
                    np.copyto(dx[block.images], self._geometry.inner(d_padded))
            else:
                np.matmul(self._by_group(dz), kernel.swapaxes(1, 2), out=columns)
                self._columns.add(block, columns, dx, work)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        last = self.dimensions + 1
        kernel = graph.node("Transpose", [graph.parameter("kernel")], perm=[last, last - 1, *range(self.dimensions)])
        bias = [graph.parameter("bias")] if self.use_bias else []
        x = to_channels_first(graph, xs[0], self.dimensions)
        z = graph.node("Conv", [x, kernel, *bias], group=self._groups, **onnx_attributes(self._sliding))
        return self.activation.to_onnx(graph, to_channels_last(graph, z, self.dimensions))

    def _spreading(self, rows: int) -> Spreading | None:
        """How derivatives by the inputs are computed where blocks are of whole images and the stride allows it."""
        height = self._geometry.height
        whole = self._columns.block_shape(rows)[1] == height.positions
        if height.stride > 1 or not whole:
            return None
        return Spreading(self._geometry, self.input_shape[-1], self.output_shape[-1], self._groups)

    def _saved_of(self, block: Block, saved: Saved) -> Saved:
        """What the activation keeps, of one block."""
        return {name: self._geometry.results(array)[block.images, block.rows] for name, array in saved.items()}

    def _by_group(self, array: Array) -> Array:
        """Of (..., filters) the view as a matrix for each group: (groups, ..., filters of a group)."""
        return array.reshape(-1, self._groups, array.shape[-1] // self._groups).swapaxes(0, 1)


class Conv2d(Convolution):
    """Over images (height, width, channels)."""

    kind = "conv2d"
    dimensions = 2

    @classmethod
    def _axes(cls, shape: Shape, settings: spec.Conv2d) -> tuple[Axis, ...]:
        windows, strides, dilations = map(both, (settings.kernel_size, settings.strides, settings.dilation_rate))
        return tuple(
            axis(
                shape[i],
                window=windows[i],
                stride=strides[i],
                dilation=dilations[i],
                padding=settings.padding,
                index=i,
            )
            for i in (0, 1)
        )


class Conv1d(Convolution):
    """Over sequences (length, channels): images of height 1."""

    kind = "conv1d"
    dimensions = 1

    @classmethod
    def _axes(cls, shape: Shape, settings: spec.Conv1d) -> tuple[Axis, ...]:
        return (
            axis(
                shape[0],
                window=settings.kernel_size,
                stride=settings.strides,
                dilation=settings.dilation_rate,
                padding=settings.padding,
            ),
        )
