"""Transposed convolution: the layers that make sequences and images larger by kernels that learn."""

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from raydient.spec import convolution as spec
from raydient.spec.windows import Padding
from raydient.steps.arrays import Floats
from raydient.workers.network.activations import activation
from raydient.workers.network.layers.layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, learned
from raydient.workers.network.layers.windows import (
    Axis,
    Geometry,
    onnx_attributes,
    pair,
    rank_problem,
    to_channels_first,
    to_channels_last,
)
from raydient.workers.network.onnx_graph import OnnxGraph

from .algorithm import Work, accumulate_product

BLOCK_VALUES = 1 << 18
"""Values of the columns of a block of images, if it has more than one."""


class ConvolutionTranspose(Layer):
    """y = f(z) with an activation f, and z the sum of a kernel at each position of x (Zeiler et al. 2010):

    z[n, p s + i, q s + j, f] = b[f] + Σ_c x[n, p, q, c] K[i, j, f, c], summed over all places that give it, stride s.

    x (rows, height, width, channels); K (kernel height, kernel width, filters, channels). Windows slide over z as those
    of a convolution with the same kernel, stride and padding slide over its input: z is the derivative of such a
    convolution by its input, where x is the derivative by its output. As in Keras z has s values for each of x, and
    with `valid` padding max(0, kernel - s) more.

    The chain rule: with Z = im2col(dz), whose rows are the windows of dz, dx = Z K and dK = Zᵀ x; db = Σ dz.
    """

    dimensions: ClassVar[int]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        super().__init__(name, input_shapes, settings)
        *places, channels = self.input_shape
        filters = settings.filters
        self._axes = tuple(self._axis(size, i, settings) for i, size in enumerate(places))
        self._geometry = Geometry.of(self._axes)
        self.output_shape = (*(axis.size for axis in self._axes), filters)
        kernel = (*(axis.window for axis in self._axes), filters, channels)
        self._columns = prod(kernel[:-1])
        fan_in, fan_out = self._columns, prod(kernel[:-2]) * channels  # as Keras names them
        kind = learned(settings.kernel_regularizer)
        self.parameters = (ParameterRule("kernel", kernel, settings.kernel_initializer, fan_in, fan_out, kind=kind),)
        if settings.use_bias:
            penalty = learned(settings.bias_regularizer)
            self.parameters += (
                ParameterRule("bias", (filters,), settings.bias_initializer, fan_in, fan_out, kind=penalty),
            )
        self.use_bias = settings.use_bias
        self.operations = 2 * prod(self.input_shape) * self._columns + settings.use_bias * prod(self.output_shape)
        self.activation = activation(settings.activation)
        self.rectified_units = filters if self.activation.rectifies else 0

    @classmethod
    @abstractmethod
    def _window(cls, settings: Any, index: int) -> tuple[int, int]:
        """Size and stride of the kernel along an axis."""

    @classmethod
    def _axis(cls, size: int, index: int, settings: Any) -> Axis:
        """The windows along an axis of z, as many as x has values there."""
        window, stride = cls._window(settings, index)
        larger = max(0, window - stride) if settings.padding.kind == "valid" else 0
        padding = Padding.model_validate(settings.padding.kind)
        return Axis.of(size * stride + larger, window=window, stride=stride, padding=padding)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        return rank_problem(cls.dimensions, input_shapes[0], Padding.model_validate(settings.padding.kind))

    def saved(self, rows: int) -> Memory:
        return self.activation.saved((rows, *self.output_shape))

    def _block(self, rows: int) -> int:
        """Number of images of a block."""
        values_of_image: int = prod(self.input_shape[:-1]) * self._columns
        return min(rows, max(1, BLOCK_VALUES // values_of_image))

    def work(self, rows: int) -> Memory:
        images, geometry = self._block(rows), self._geometry
        height, width = geometry.height, geometry.width
        filters = self.output_shape[-1]
        shape = (images, height.positions, width.positions, height.window, width.window, filters)
        padded = (images, height.padded, width.padded, filters)
        return {
            "columns": (shape, None),
            "d_kernel": ((self._columns, self.input_shape[-1]), None),
            **({"padded": (padded, None)} if geometry.is_padded else {}),
        }

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        z, work, kernel = self._geometry.images(buffers.y), buffers.work, self._matrix(weights)
        step = len(work["columns"])
        for first in range(0, len(z), step):
            x, part = buffers.x[first : first + step], z[first : first + step]
            columns = work["columns"][: len(x)]
            np.matmul(x.reshape(-1, x.shape[-1]), kernel.T, out=columns.reshape(-1, self._columns))
            padded = self._padded(part, work)
            padded.fill(0)
            windows = self._geometry.windows(padded)
            for i in range(windows.shape[3]):
                for j in range(windows.shape[4]):
                    total = windows[:, :, :, i, j]  # windows at a distance of the stride have no place in common here
                    np.add(total, columns[:, :, :, i, j], out=total)
            if padded is not part:
                np.copyto(part, self._geometry.crop(padded))
        if self.use_bias:
            np.add(z, weights["bias"], out=z)
        self.activation.inplace_forward(buffers.y, buffers.scratch, buffers.saved)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        self.activation.inplace_backward(buffers.y, buffers.dy, buffers.scratch, buffers.saved)
        dz, work, kernel = self._geometry.images(buffers.dy), buffers.work, self._matrix(weights)
        step, d_kernel = len(work["columns"]), self._matrix(gradients)
        for first in range(0, len(dz), step):
            x, part = buffers.x[first : first + step], dz[first : first + step]
            columns, padded = work["columns"][: len(x)], self._padded(part, work)
            if padded is not part:
                padded.fill(0)
                np.copyto(self._geometry.crop(padded), part)
            np.copyto(columns, self._geometry.windows(padded))
            matrix, channels = columns.reshape(-1, self._columns), x.shape[-1]
            accumulate_product(matrix.T, x.reshape(-1, channels), d_kernel, work["d_kernel"], is_first=first == 0)
            if buffers.dx is not None:
                np.matmul(matrix, kernel, out=buffers.dx[first : first + step].reshape(-1, channels))
        if self.use_bias:
            np.add.reduce(dz.reshape(-1, dz.shape[-1]), axis=0, out=gradients["bias"])

    def _matrix(self, views: Views) -> Floats:
        """The kernel, or the gradient by it, as a matrix (kernel height · kernel width · filters, channels)."""
        return views["kernel"].reshape(self._columns, -1)

    def _padded(self, part: Floats, work: Work) -> Floats:
        """Padded images like `part`, or `part` itself if there is no padding."""
        padded: Floats = work["padded"][: len(part)] if self._geometry.is_padded else part
        return padded

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        last = self.dimensions + 1
        kernel = graph.node("Transpose", [graph.parameter("kernel")], perm=[last, last - 1, *range(self.dimensions)])
        bias = [graph.parameter("bias")] if self.use_bias else []
        x = to_channels_first(graph, xs[0], self.dimensions)
        # A kernel smaller than the stride leaves values behind the last window that only the bias fills.
        behind = [(axis.padded - axis.extent) % axis.stride for axis in self._axes]
        attributes = {**onnx_attributes(self._axes), "output_padding": behind}
        z = graph.node("ConvTranspose", [x, kernel, *bias], **attributes)
        return self.activation.to_onnx(graph, to_channels_last(graph, z, self.dimensions))


class Conv2dTranspose(ConvolutionTranspose):
    """Transposed convolution of images (height, width, channels)."""

    kind = "conv2d_transpose"
    dimensions = 2

    @classmethod
    def _window(cls, settings: spec.Conv2dTranspose, index: int) -> tuple[int, int]:
        return pair(settings.kernel_size)[index], pair(settings.strides)[index]


class Conv1dTranspose(ConvolutionTranspose):
    """Transposed convolution of sequences (length, channels)."""

    kind = "conv1d_transpose"
    dimensions = 1

    @classmethod
    def _window(cls, settings: spec.Conv1dTranspose, index: int) -> tuple[int, int]:
        return settings.kernel_size, settings.strides
