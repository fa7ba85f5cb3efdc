"""Transposed convolution: the layers that make sequences and images larger by kernels that learn."""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from raydient.spec import convolution as spec
from raydient.spec.windows import pair
from raydient.steps.arrays import Floats
from raydient.workers.network.activations import activation
from raydient.workers.network.layers.layer import (
    Buffers,
    Layer,
    Memory,
    ParameterRule,
    Pass,
    Shape,
    Views,
    blocks,
    learned,
)
from raydient.workers.network.layers.windows import (
    AXES,
    Axis,
    Geometry,
    both_sides,
    onnx_attributes,
    rank_problem,
    to_channels_first,
    to_channels_last,
)
from raydient.workers.network.onnx_graph import OnnxGraph

from .algorithm import Work, accumulate_product, by_group, groups_problem, windows_by_group

BLOCK_VALUES = 1 << 18
"""Values of the columns of a block of images, if it has more than one."""

Settings = spec.Conv1dTranspose | spec.Conv2dTranspose


class ConvolutionTranspose(Layer):
    """y = f(z) with an activation f, and z the sum of a kernel at each position of x (Zeiler et al. 2010):

    z[n, p s + i d, q s + j d, f] = b[f] + Σ_c x[n, p, q, c] K[i, j, f, c], summed over all places that give it, with
    stride s and dilation d.

    x (rows, height, width, channels); K (kernel height, kernel width, filters / groups, channels). With groups, each
    channel adds to the filters of its own group only. Windows slide over z as those of a convolution with the same
    kernel slide over its input: z is the derivative of such a convolution by its input, where x is the derivative by
    its output.

    The chain rule: with Z = im2col(dz), whose rows are the windows of dz, dx = Z K and dK = Zᵀ x, for each group by
    itself; db = Σ dz.
    """

    dimensions: ClassVar[int]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Settings) -> None:
        super().__init__(name, input_shapes, settings)
        *places, channels = self.input_shape
        filters, self._groups = settings.filters, settings.groups
        self._axes = _axes(places, settings)
        self._geometry = Geometry.of(self._axes)
        self.output_shape = (*(axis.size for axis in self._axes), filters)
        kernel = (*(axis.window for axis in self._axes), filters // self._groups, channels)
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
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Settings) -> str | None:
        *places, channels = input_shapes[0]
        if problem := rank_problem(cls.dimensions, input_shapes[0], settings.padding.explicit):
            return problem
        if problem := groups_problem(settings.groups, channels=channels, filters=settings.filters):
            return problem
        for axis, name in zip(_axes(places, settings), AXES[cls.dimensions], strict=True):
            if axis.size < 1:
                return f"has padding that leaves an output of {name} {axis.size}: use less, or a larger kernel"
        return None

    def saved(self, rows: int) -> Memory:
        return self.activation.saved((rows, *self.output_shape))

    @property
    def _values(self) -> int:
        """Number of values of the columns of an image."""
        return prod(self.input_shape[:-1]) * self._columns * self._groups

    def _block(self, rows: int) -> int:
        """Number of images of a block."""
        return min(rows, max(1, BLOCK_VALUES // self._values))

    def work(self, rows: int) -> Memory:
        images, geometry = self._block(rows), self._geometry
        padded = (images, geometry.height.padded, geometry.width.padded, self.output_shape[-1])
        return {
            "columns": ((images * self._values,), None),
            "d_kernel": ((self._columns, self.input_shape[-1]), None),
            **({"padded": (padded, None)} if geometry.is_padded else {}),
        }

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        z, work, kernel = self._geometry.images(buffers.y), buffers.work, self._matrices(weights)
        for block in blocks(len(z), self._block(len(z))):
            x, part = by_group(buffers.x[block], self._groups), z[block]
            columns, padded = self._columns_of(len(part), work), self._padded(part, work)
            np.matmul(x, kernel.swapaxes(1, 2), out=self._by_window(columns))
            padded.fill(0)
            windows = windows_by_group(self._geometry.windows(padded), self._groups)
            for i, j in np.ndindex(windows.shape[4:6]):
                total = windows[:, :, :, :, i, j]  # windows at a distance of the stride have no place in common here
                np.add(total, columns[:, :, :, :, i, j], out=total)
            if padded is not part:
                np.copyto(part, self._geometry.crop(padded))
        if self.use_bias:
            np.add(z, weights["bias"], out=z)
        self.activation.inplace_forward(buffers.y, buffers.scratch, buffers.saved)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        self.activation.inplace_backward(buffers.y, buffers.dy, buffers.scratch, buffers.saved)
        dz, work, kernel = self._geometry.images(buffers.dy), buffers.work, self._matrices(weights)
        d_kernel, product = self._matrices(gradients), by_group(work["d_kernel"], self._groups)
        for block in blocks(len(dz), self._block(len(dz))):
            x, part = by_group(buffers.x[block], self._groups), dz[block]
            columns, padded = self._columns_of(len(part), work), self._padded(part, work)
            if padded is not part:
                padded.fill(0)
                np.copyto(self._geometry.crop(padded), part)
            np.copyto(columns, windows_by_group(self._geometry.windows(padded), self._groups))
            matrix = self._by_window(columns)
            accumulate_product(matrix.swapaxes(1, 2), x, d_kernel, product, is_first=block.start == 0)
            if buffers.dx is not None:
                np.matmul(matrix, kernel, out=by_group(buffers.dx[block], self._groups))
        if self.use_bias:
            np.add.reduce(dz.reshape(-1, dz.shape[-1]), axis=0, out=gradients["bias"])

    def _matrices(self, views: Views) -> Floats:
        """The kernel, or the gradient by it, by group: (groups, values of a window, channels), those of a group."""
        return by_group(views["kernel"].reshape(self._columns, -1), self._groups)

    def _columns_of(self, images: int, work: Work) -> Floats:
        """The columns of a block: (groups, images, positions down, positions across, kernel height, kernel width,
        filters of a group).
        """
        h, w = self._geometry.height, self._geometry.width
        shape = self._groups, images, h.positions, w.positions, h.window, w.window, -1
        columns: Floats = work["columns"][: images * self._values].reshape(shape)
        return columns

    def _by_window(self, columns: Floats) -> Floats:
        """Columns as a matrix for each group, with a row for each window."""
        return columns.reshape(self._groups, -1, self._columns)

    def _padded(self, part: Floats, work: Work) -> Floats:
        """Padded images like `part`, or `part` itself if there is no padding."""
        padded: Floats = work["padded"][: len(part)] if self._geometry.is_padded else part
        return padded

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        last = self.dimensions + 1
        kernel = graph.node("Transpose", [graph.parameter("kernel")], perm=[last, last - 1, *range(self.dimensions)])
        bias = [graph.parameter("bias")] if self.use_bias else []
        x = to_channels_first(graph, xs[0], self.dimensions)
        # Behind the last window there may be values that only the bias fills.
        behind = [(axis.padded - axis.extent) % axis.stride for axis in self._axes]
        attributes = {**onnx_attributes(self._axes), "output_padding": behind, "group": self._groups}
        z = graph.node("ConvTranspose", [x, kernel, *bias], **attributes)
        return self.activation.to_onnx(graph, to_channels_last(graph, z, self.dimensions))


class Conv2dTranspose(ConvolutionTranspose):
    """Transposed convolution of images (height, width, channels)."""

    kind = "conv2d_transpose"
    dimensions = 2


class Conv1dTranspose(ConvolutionTranspose):
    """Transposed convolution of sequences (length, channels)."""

    kind = "conv1d_transpose"
    dimensions = 1


def _axes(places: Sequence[int], settings: Settings) -> tuple[Axis, ...]:
    """The windows along the axes of z, as many as x has places there.

    The sizes of z are those of Keras 3 and, with explicit padding, of PyTorch: (places - 1) · stride and, with the
    kernel's extent, (kernel - 1) · dilation + 1,

    | padding | with `output_padding` | without |
    |---|---|---|
    | valid | extent + output_padding | max(extent, stride) |
    | same | extent mod 2 + output_padding | stride |
    | explicit | extent - before - after + output_padding | extent - before - after |
    """
    sizes = zip(*map(pair, (settings.kernel_size, settings.strides, settings.dilation_rate)), strict=True)
    further: tuple[int | None, ...] = (None, None)
    if settings.output_padding is not None:
        further = pair(settings.output_padding)
    axes = []
    for index, (size, (window, stride, dilation)) in enumerate(zip(places, sizes, strict=False)):
        extent, more = (window - 1) * dilation + 1, further[index]
        if settings.padding.explicit is not None:
            before, after = both_sides(settings.padding.explicit, index)
            last = extent - before - after + (more or 0)
        elif settings.padding.same is not None:
            last = stride if more is None else extent % 2 + more
            before = max(0, extent - last) // 2
        else:
            last, before = max(extent, stride) if more is None else extent + more, 0
        axes.append(Axis((size - 1) * stride + last, window, stride, dilation, before, max(0, extent - before - last)))
    return tuple(axes)
