"""Pooling: the maximum or the mean of each window, channel by channel."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import product
from math import inf, prod
from typing import Any, ClassVar

import numpy as np

from raydient.spec import pooling as spec
from raydient.spec.windows import pair
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views, blocks
from .windows import (
    Axis,
    Geometry,
    fit_problem,
    onnx_attributes,
    rank_problem,
    to_channels_first,
    to_channels_last,
)

BLOCK_VALUES = 128 * 1024
"""Values of the images that are pooled at a time: 512 KiB in float32, to stay in the second-level cache."""


class Pooling(Layer):
    """Pooling of images (rows, height, width, channels), in blocks; a sequence is an image of height 1.

    Attributes:
        dimensions: 2 for images, 1 for sequences.
        padding_value: value of the padding, which does not change the result.
    """

    dimensions: ClassVar[int]
    padding_value: ClassVar[float]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Pooling1d | spec.Pooling2d) -> None:
        super().__init__(name, input_shapes, settings)
        self._axes = self._axes_of(self.input_shape, settings)
        self._geometry, self._channels = Geometry.of(self._axes), self.input_shape[-1]
        self.output_shape = (*(axis.positions for axis in self._axes), self._channels)
        self.operations = prod(self.output_shape) * prod(axis.window for axis in self._axes)
        self._places = list(product(range(self._geometry.height.window), range(self._geometry.width.window)))
        self._is_disjoint = all(axis.stride >= axis.window for axis in self._axes)
        self._is_tiling = all(axis.stride == axis.window and axis.size % axis.window == 0 for axis in self._axes)

    @classmethod
    def _axes_of(cls, shape: Shape, settings: Any) -> tuple[Axis, ...]:
        windows = pair(settings.pool_size) if cls.dimensions == 2 else (settings.pool_size,)
        strides = pair(settings.strides) if cls.dimensions == 2 and settings.strides else (settings.strides,) * 2
        return tuple(
            Axis.of(shape[i], window=window, stride=strides[i] or window, padding=settings.padding, index=i)
            for i, window in enumerate(windows)
        )

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        if problem := rank_problem(cls.dimensions, input_shapes[0], settings.padding.explicit):
            return problem
        axes = cls._axes_of(input_shapes[0], settings)
        for axis in axes:
            if (padding := max(axis.before, axis.after)) >= axis.window:
                return f"has a padding of {padding}, which is not less than its window of {axis.window}"
        return fit_problem("window", axes)

    def _block(self, rows: int) -> int:
        """Number of images of a block."""
        return max(1, min(rows, BLOCK_VALUES // prod(self.input_shape)))

    def work(self, rows: int) -> Memory:
        g = self._geometry
        padded = (self._block(rows), g.height.padded, g.width.padded, self._channels)
        return {"padded": (padded, None), "d_padded": (padded, None)} if g.is_padded else {}

    def _outputs_shape(self, images: int) -> Shape:
        """Shape of the outputs of this number of images."""
        return images, self._geometry.height.positions, self._geometry.width.positions, self._channels

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        y = self._geometry.outputs(buffers.y)
        for images, windows in self._windows(buffers):
            self._pool(windows, y[images], buffers, images, pass_)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        if buffers.dx is None:
            return
        g = self._geometry
        dy, dx = g.outputs(buffers.dy), g.images(buffers.dx)
        for images in blocks(len(dx), self._block(len(dx))):
            target = buffers.work["d_padded"][: images.stop - images.start] if g.is_padded else dx[images]
            if g.is_padded or not self._is_tiling:
                target.fill(0)
            self._distribute(dy[images], g.windows(target), buffers, images)
            if g.is_padded:
                np.copyto(dx[images], g.crop(target))

    def _windows(self, buffers: Buffers) -> Iterator[tuple[slice, Floats]]:
        """Yield blocks of images and their windows (`Geometry.windows`), which the next block overwrites."""
        g, x = self._geometry, self._geometry.images(buffers.x)
        padded = buffers.work["padded"] if g.is_padded else x
        windows = g.windows(padded)
        if padded is not x:
            padded.fill(self.padding_value)
        for images in blocks(len(x), self._block(len(x))):
            if padded is x:
                yield images, windows[images]
            else:
                block = slice(0, images.stop - images.start)
                np.copyto(g.crop(padded)[block], x[images])
                yield images, windows[block]

    @abstractmethod
    def _pool(self, windows: Floats, y: Floats, buffers: Buffers, images: slice, pass_: Pass) -> None:
        """Compute y (images, positions down, positions across, channels) of a block of images."""

    @abstractmethod
    def _distribute(self, dy: Floats, d_windows: Floats, buffers: Buffers, images: slice) -> None:
        """Add to each value of `d_windows` its share of dy; dy may be overwritten.

        The windows view zeros. Where they cover the image without gaps and overlap, they view any values, which this
        method overwrites.
        """


class MaxPooling(Pooling):
    """y = the maximum of a window; all of dy goes to its place, the first in reading order of equal ones.

    Forward saves the place in a byte for each window, a quarter of the memory of y.
    """

    padding_value = -inf

    def saved(self, rows: int) -> Memory:
        return {"place": (self._outputs_shape(rows), self._number)}

    def work(self, rows: int) -> Memory:
        results = self._outputs_shape(self._block(rows))
        share: Memory = {} if self._is_disjoint else {"share": (results, None)}
        return {**super().work(rows), **share, "is_maximum": (results, np.bool_), "number": (results, self._number)}

    @property
    def _number(self) -> np.dtype[Any]:
        """The type that holds the number of a place within a window."""
        return np.min_scalar_type(-len(self._places))

    def _pool(self, windows: Floats, y: Floats, buffers: Buffers, images: slice, pass_: Pass) -> None:
        place = buffers.saved["place"][images]
        larger, number = (buffers.work[name][: len(y)] for name in ("is_maximum", "number"))
        if pass_.training:
            place.fill(0)
        np.copyto(y, windows[:, :, :, 0, 0])
        for n, (i, j) in enumerate(self._places[1:], 1):
            x = windows[:, :, :, i, j]
            if pass_.training:
                np.greater(x, y, out=larger)  # of equal values, the first one stays
                np.copyto(number, larger)
                np.multiply(number, n, out=number)
                np.maximum(place, number, out=place)
            np.maximum(y, x, out=y)

    def _distribute(self, dy: Floats, d_windows: Floats, buffers: Buffers, images: slice) -> None:
        place, is_maximum = buffers.saved["place"][images], buffers.work["is_maximum"][: len(dy)]
        for n, (i, j) in enumerate(self._places):
            d = d_windows[:, :, :, i, j]
            np.equal(place, n, out=is_maximum)
            if self._is_disjoint:
                np.multiply(dy, is_maximum, out=d)
            else:
                share = buffers.work["share"][: len(dy)]
                np.multiply(dy, is_maximum, out=share)
                np.add(d, share, out=d)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        x = to_channels_first(graph, xs[0], self.dimensions)
        return to_channels_last(graph, graph.node("MaxPool", [x], **onnx_attributes(self._axes)), self.dimensions)


class AveragePooling(Pooling):
    """y = the mean of the values of a window that are not padding; each of them has an equal share of dy."""

    padding_value = 0.0

    def work(self, rows: int) -> Memory:
        return {**super().work(rows), "weight": (self._outputs_shape(rows)[1:3], None)}

    def _weight(self, buffers: Buffers) -> Floats:
        """1 / (number of values that are not padding) of each window, (positions down, positions across, 1)."""
        weight = buffers.work["weight"]
        counts = [_values_inside(axis) for axis in (self._geometry.height, self._geometry.width)]
        np.copyto(weight, 1 / np.outer(*counts), casting="same_kind")
        return weight[..., np.newaxis]

    def _pool(self, windows: Floats, y: Floats, buffers: Buffers, images: slice, pass_: Pass) -> None:
        np.copyto(y, windows[:, :, :, 0, 0])
        for i, j in self._places[1:]:
            np.add(y, windows[:, :, :, i, j], out=y)
        np.multiply(y, self._weight(buffers), out=y)

    def _distribute(self, dy: Floats, d_windows: Floats, buffers: Buffers, images: slice) -> None:
        np.multiply(dy, self._weight(buffers), out=dy)
        for i, j in self._places:
            d = d_windows[:, :, :, i, j]
            if self._is_disjoint:
                np.copyto(d, dy)
            else:
                np.add(d, dy, out=d)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        x = to_channels_first(graph, xs[0], self.dimensions)
        y = graph.node("AveragePool", [x], count_include_pad=0, **onnx_attributes(self._axes))
        return to_channels_last(graph, y, self.dimensions)


class MaxPooling1d(MaxPooling):
    kind = "max_pooling1d"
    dimensions = 1


class MaxPooling2d(MaxPooling):
    kind = "max_pooling2d"
    dimensions = 2


class AveragePooling1d(AveragePooling):
    kind = "average_pooling1d"
    dimensions = 1


class AveragePooling2d(AveragePooling):
    kind = "average_pooling2d"
    dimensions = 2


def _values_inside(axis: Axis) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The number of values that are not padding, for each position of the window along an axis."""
    first = np.arange(axis.positions) * axis.stride - axis.before
    return np.minimum(first + axis.window, axis.size) - np.maximum(first, 0)
