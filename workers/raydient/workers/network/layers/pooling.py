"""Pooling: the largest value or the mean of each window, for each channel by itself."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import product
from math import inf, prod
from typing import Any, ClassVar

import numpy as np

from raydient.spec import pooling as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views, blocks
from .windows import (
    Array,
    Axis,
    axis,
    fit_problem,
    geometry,
    onnx_attributes,
    pair,
    rank_problem,
    to_channels_first,
    to_channels_last,
)

BLOCK_VALUES = 128 * 1024
"""Values of the images that are pooled at a time: 512 KiB in float32, to stay in the second-level cache."""


class Pooling(Layer):
    """Of images (rows, height, width, channels), a few at a time; a sequence is an image of height 1.

    Attributes:
        dimensions: 2 for images, 1 for sequences.
        around: what is added to images, so that it has no say.
    """

    dimensions: ClassVar[int]
    around: ClassVar[float]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Pooling1d | spec.Pooling2d) -> None:
        super().__init__(name, input_shapes, settings)
        self._sliding = self._axes(self.input_shape, settings)
        self._geometry, self._channels = geometry(self._sliding), self.input_shape[-1]
        self.output_shape = (*(one.positions for one in self._sliding), self._channels)
        self.operations = prod(self.output_shape) * prod(one.window for one in self._sliding)
        self._places = list(product(range(self._geometry.height.window), range(self._geometry.width.window)))
        self._apart = all(one.stride >= one.window for one in self._sliding)
        self._covers = all(one.stride == one.window and one.size % one.window == 0 for one in self._sliding)

    @classmethod
    def _axes(cls, shape: Shape, settings: Any) -> tuple[Axis, ...]:
        windows = pair(settings.pool_size) if cls.dimensions == 2 else (settings.pool_size,)
        strides = pair(settings.strides) if cls.dimensions == 2 and settings.strides else (settings.strides,) * 2
        return tuple(
            axis(shape[i], window=window, stride=strides[i] or window, padding=settings.padding, index=i)
            for i, window in enumerate(windows)
        )

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        if problem := rank_problem(cls.dimensions, input_shapes[0], settings.padding):
            return problem
        axes = cls._axes(input_shapes[0], settings)
        for one in axes:
            if max(one.before, one.after) >= one.window:
                return (
                    f"has a padding of {max(one.before, one.after)}, which is not less than its window of {one.window}"
                )
        return fit_problem("window", axes)

    def _block(self, rows: int) -> int:
        """How many images at a time."""
        return max(1, min(rows, BLOCK_VALUES // prod(self.input_shape)))

    def work(self, rows: int) -> Memory:
        g = self._geometry
        padded = (self._block(rows), g.height.padded, g.width.padded, self._channels)
        return {"padded": (padded, None), "d_padded": (padded, None)} if g.is_padded else {}

    def _results(self, images: int) -> Shape:
        """The shape of the results of so many images."""
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
            if g.is_padded or not self._covers:
                target.fill(0)
            self._share_out(dy[images], g.windows(target), buffers, images)
            if g.is_padded:
                np.copyto(dx[images], g.crop(target))

    def _windows(self, buffers: Buffers) -> Iterator[tuple[slice, Array]]:
        """Block by block which images, and their windows as `Geometry.windows` gives them; read before the next one."""
        g, x = self._geometry, self._geometry.images(buffers.x)
        padded = buffers.work["padded"] if g.is_padded else x
        windows = g.windows(padded)
        if padded is not x:
            padded.fill(self.around)
        for images in blocks(len(x), self._block(len(x))):
            if padded is x:
                yield images, windows[images]
            else:
                here = slice(0, images.stop - images.start)
                np.copyto(g.crop(padded)[here], x[images])
                yield images, windows[here]

    @abstractmethod
    def _pool(self, windows: Array, y: Array, buffers: Buffers, images: slice, pass_: Pass) -> None:
        """Compute y (images, positions down, positions across, channels) of some images."""

    @abstractmethod
    def _share_out(self, dy: Array, d_windows: Array, buffers: Buffers, images: slice) -> None:
        """Give each value of the windows its part of dy, which may be overwritten; `d_windows` are windows over zeros,
        or over anything where they cover the image without overlapping.
        """


class MaxPooling(Pooling):
    """y = the largest of a window; all of dy goes to it, to the first one in reading order where several are. Which one
    it is forward leaves for backward, a byte each: a quarter of what it would have to read again.
    """

    around = -inf

    def saved(self, rows: int) -> Memory:
        return {"place": (self._results(rows), self._number)}

    def work(self, rows: int) -> Memory:
        results = self._results(self._block(rows))
        share: Memory = {} if self._apart else {"share": (results, None)}
        return {**super().work(rows), **share, "is_it": (results, np.bool_), "number": (results, self._number)}

    @property
    def _number(self) -> np.dtype[Any]:
        """The type for the number of a place within a window."""
        return np.min_scalar_type(-len(self._places))

    def _pool(self, windows: Array, y: Array, buffers: Buffers, images: slice, pass_: Pass) -> None:
        place = buffers.saved["place"][images]
        larger, number = (buffers.work[name][: len(y)] for name in ("is_it", "number"))
        if pass_.training:
            place.fill(0)
        np.copyto(y, windows[:, :, :, 0, 0])
        for n, (i, j) in enumerate(self._places[1:], 1):
            x = windows[:, :, :, i, j]
            if pass_.training:
                np.greater(x, y, out=larger)  # and not if it is as large: the first one stays
                np.copyto(number, larger)
                np.multiply(number, n, out=number)
                np.maximum(place, number, out=place)
            np.maximum(y, x, out=y)

    def _share_out(self, dy: Array, d_windows: Array, buffers: Buffers, images: slice) -> None:
        place, is_it = buffers.saved["place"][images], buffers.work["is_it"][: len(dy)]
        for n, (i, j) in enumerate(self._places):
            d = d_windows[:, :, :, i, j]
            np.equal(place, n, out=is_it)
            if self._apart:
                np.multiply(dy, is_it, out=d)
            else:
                share = buffers.work["share"][: len(dy)]
                np.multiply(dy, is_it, out=share)
                np.add(d, share, out=d)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        x = to_channels_first(graph, xs[0], self.dimensions)
        return to_channels_last(graph, graph.node("MaxPool", [x], **onnx_attributes(self._sliding)), self.dimensions)


class AveragePooling(Pooling):
    """y = the mean of those values of a window that are the image's, whatever was added; dy is shared out evenly."""

    around = 0.0

    def work(self, rows: int) -> Memory:
        return {**super().work(rows), "weight": (self._results(rows)[1:3], None)}

    def _weight(self, buffers: Buffers) -> Array:
        """1 / (values of the image), for each window, (positions down, positions across, 1)."""
        weight = buffers.work["weight"]
        counts = [_values_inside(one) for one in (self._geometry.height, self._geometry.width)]
        np.copyto(weight, 1 / np.outer(*counts), casting="same_kind")
        return weight[..., np.newaxis]

    def _pool(self, windows: Array, y: Array, buffers: Buffers, images: slice, pass_: Pass) -> None:
        np.copyto(y, windows[:, :, :, 0, 0])
        for i, j in self._places[1:]:
            np.add(y, windows[:, :, :, i, j], out=y)
        np.multiply(y, self._weight(buffers), out=y)

    def _share_out(self, dy: Array, d_windows: Array, buffers: Buffers, images: slice) -> None:
        np.multiply(dy, self._weight(buffers), out=dy)
        for i, j in self._places:
            d = d_windows[:, :, :, i, j]
            if self._apart:
                np.copyto(d, dy)
            else:
                np.add(d, dy, out=d)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        x = to_channels_first(graph, xs[0], self.dimensions)
        y = graph.node("AveragePool", [x], count_include_pad=0, **onnx_attributes(self._sliding))
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


def _values_inside(one: Axis) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each position of a window along an axis, how many of its values are the image's."""
    first = np.arange(one.positions) * one.stride - one.before
    return np.minimum(first + one.window, one.size) - np.maximum(first, 0)
