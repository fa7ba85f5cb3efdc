"""The convolution layers."""

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from raydient.spec import convolution as spec
from raydient.spec.windows import pair
from raydient.steps.arrays import Floats
from raydient.workers.network.activation_function import Saved
from raydient.workers.network.activations import activation
from raydient.workers.network.layers.layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, learned
from raydient.workers.network.layers.windows import (
    Axis,
    Geometry,
    fit_problem,
    onnx_attributes,
    rank_problem,
    to_channels_first,
    to_channels_last,
)
from raydient.workers.network.onnx_graph import OnnxGraph

from .algorithm import Algorithm, Part, Work, accumulate_product, groups_problem
from .depthwise import Depthwise
from .gemm import Gemm
from .pointwise import Pointwise


class Convolution(Layer):
    """y = f(z) with an activation f and z the cross-correlation of x with a kernel, as deep learning calls convolution:

    z[n, p, q, f] = b[f] + Σ_ijc x[n, p s + i d, q s + j d, c] K[i, j, c, f], with stride s and dilation d.

    x (rows, height, width, channels); K (kernel height, kernel width, channels / groups, filters); y (rows, p, q,
    filters). With groups, each filter reads the channels of its own group only. The algorithm computes z and, by the
    chain rule, dK and dx; db = Σ dz.

    Attributes:
        algorithm: computes the convolution.
    """

    dimensions: ClassVar[int]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        super().__init__(name, input_shapes, settings)
        self._axes = axes = self._axes_of(self.input_shape, settings)
        channels, filters = self.input_shape[-1], settings.filters
        self.output_shape = (*(axis.positions for axis in axes), filters)
        self._geometry, self._groups = Geometry.of(axes), settings.groups
        self.algorithm = _choose_algorithm(self._geometry, channels, filters, self._groups)
        kernel = (*(axis.window for axis in axes), channels // self._groups, filters)
        fan_in, fan_out = prod(kernel[:-1]), prod(kernel[:-2]) * filters
        kind = learned(settings.kernel_regularizer)
        self.parameters = (ParameterRule("kernel", kernel, settings.kernel_initializer, fan_in, fan_out, kind=kind),)
        self.operations = prod(self.output_shape) * (2 * fan_in + settings.use_bias)
        if settings.use_bias:
            penalty = learned(settings.bias_regularizer)
            self.parameters += (
                ParameterRule("bias", (filters,), settings.bias_initializer, fan_in, fan_out, kind=penalty),
            )
        self.use_bias = settings.use_bias
        self.activation = activation(settings.activation)
        self.rectified_units = filters if self.activation.rectifies else 0

    @classmethod
    @abstractmethod
    def _axes_of(cls, shape: Shape, settings: Any) -> tuple[Axis, ...]:
        """The axes along which the kernel slides, for samples of this shape."""

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        (shape,) = input_shapes
        if problem := rank_problem(cls.dimensions, shape, settings.padding.explicit):
            return problem
        if problem := groups_problem(settings.groups, channels=shape[-1], filters=settings.filters):
            return problem
        return fit_problem("kernel", cls._axes_of(shape, settings))

    def saved(self, rows: int) -> Memory:
        return self.activation.saved((rows, *self.output_shape))

    def work(self, rows: int) -> Memory:
        images, down = self.algorithm.block_shape(rows)
        across, filters = self.output_shape[-2:]
        return {
            **self.algorithm.work(rows),
            "scratch": ((images, down, across, filters), None),
            "ones": ((images * down * across,), None),
            "bias": ((filters,), None),
            "biases": ((across, filters), None),
        }

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        x, y, work = self._geometry.images(buffers.x), self._geometry.outputs(buffers.y), buffers.work
        biases = work["biases"]  # of a row of positions, so that NumPy has longer loops
        if self.use_bias:
            np.copyto(biases, weights["bias"])
        for part in self.algorithm.forward(x, self._kernel(weights), y, work):
            z = y[part]
            if self.use_bias:
                rows = z.reshape(*z.shape[:2], -1)
                np.add(rows, biases.reshape(-1), out=rows)
            self.activation.inplace_forward(z, self._scratch(z, work), self._saved_of(part, buffers.saved))

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        x, y, work = self._geometry.images(buffers.x), self._geometry.outputs(buffers.y), buffers.work
        dy = self._geometry.outputs(buffers.dy)
        dx = None if buffers.dx is None else self._geometry.images(buffers.dx)
        ones = work["ones"]
        ones.fill(1)
        kernel, d_kernel = self._kernel(weights), self._kernel(gradients)
        parts = self.algorithm.backward(x, kernel, dy, work, dx=dx, d_kernel=d_kernel)
        for number, part in enumerate(parts):
            dz = dy[part]
            saved = self._saved_of(part, buffers.saved)
            self.activation.inplace_backward(y[part], dz, self._scratch(dz, work), saved)
            if self.use_bias:  # a product with ones is five times as fast as a sum along the axis
                rows = dz.reshape(-1, dz.shape[-1])
                factors = ones[: len(rows)], rows
                accumulate_product(*factors, gradients["bias"], work["bias"], is_first=number == 0)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        last = self.dimensions + 1
        kernel = graph.node("Transpose", [graph.parameter("kernel")], perm=[last, last - 1, *range(self.dimensions)])
        bias = [graph.parameter("bias")] if self.use_bias else []
        x = to_channels_first(graph, xs[0], self.dimensions)
        z = graph.node("Conv", [x, kernel, *bias], group=self._groups, **onnx_attributes(self._axes))
        return self.activation.to_onnx(graph, to_channels_last(graph, z, self.dimensions))

    def _kernel(self, views: Views) -> Floats:
        """The kernel, or the gradient by it, with two axes of the window."""
        kernel = views["kernel"]
        height, width = self._geometry.height.window, self._geometry.width.window
        return kernel.reshape(height, width, *kernel.shape[-2:])

    def _scratch(self, part: Floats, work: Work) -> Floats:
        """Scratch memory like `part` for the activation."""
        images, down, *_ = part.shape
        scratch: Floats = work["scratch"][:images, :down]
        return scratch

    def _saved_of(self, part: Part, saved: Saved) -> Saved:
        """A part of the arrays that the activation keeps."""
        return {name: self._geometry.outputs(array)[part] for name, array in saved.items()}


class Conv2d(Convolution):
    """Convolution of images (height, width, channels)."""

    kind = "conv2d"
    dimensions = 2

    @classmethod
    def _axes_of(cls, shape: Shape, settings: spec.Conv2d) -> tuple[Axis, ...]:
        windows, strides, dilations = map(pair, (settings.kernel_size, settings.strides, settings.dilation_rate))
        return tuple(
            Axis.of(
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
    """Convolution of sequences (length, channels): images of height 1."""

    kind = "conv1d"
    dimensions = 1

    @classmethod
    def _axes_of(cls, shape: Shape, settings: spec.Conv1d) -> tuple[Axis, ...]:
        return (
            Axis.of(
                shape[0],
                window=settings.kernel_size,
                stride=settings.strides,
                dilation=settings.dilation_rate,
                padding=settings.padding,
            ),
        )


def _choose_algorithm(geometry: Geometry, channels: int, filters: int, groups: int) -> Algorithm:
    """The fastest algorithm for these shapes."""
    if groups > 1 and Depthwise.pays(channels // groups, filters // groups):
        return Depthwise(geometry, channels, filters, groups)
    algorithm = Pointwise if Pointwise.fits(geometry) else Gemm
    return algorithm(geometry, channels, filters, groups)
