"""Windows that slide over images: how many there are, where each begins, and what lies around the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec.windows import Padding
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Shape

Array = NDArray[np.floating]
SAMPLES_BY_DIMENSIONS = {1: "sequences (length, channels)", 2: "images (height, width, channels)"}


@dataclass(frozen=True, slots=True)
class Axis:
    """A window along one axis of an image.

    Attributes:
        size: values of the image.
        window: values of the window.
        stride: how far the window moves.
        dilation: how far the window's values lie apart.
        before, after: what is added to the image at its ends.
    """

    size: int
    window: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def extent(self) -> int:
        """From the window's first value to its last."""
        return (self.window - 1) * self.dilation + 1

    @property
    def overlap(self) -> int:
        """How many windows on is the next that does not overlap one."""
        return -(-self.extent // self.stride)

    @property
    def padded(self) -> int:
        """Values of the image with what is added."""
        return self.before + self.size + self.after

    @property
    def positions(self) -> int:
        """How many windows there are; below 1 if none fits."""
        return (self.padded - self.extent) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """Windows over images (height, width): the two axes."""

    height: Axis
    width: Axis

    @property
    def is_padded(self) -> bool:
        return any(axis.before or axis.after for axis in (self.height, self.width))

    def images(self, x: Array) -> Array:
        """The view of inputs as images, (rows, height, width, channels), whatever the number of their axes."""
        return x.reshape(len(x), self.height.size, self.width.size, x.shape[-1])

    def outputs(self, y: Array) -> Array:
        """The view of outputs likewise: (rows, positions down, positions across, channels)."""
        return y.reshape(len(y), self.height.positions, self.width.positions, y.shape[-1])

    def crop(self, padded: Array) -> Array:
        """The images inside of padded ones, (images, height, width, ...)."""
        h, w = self.height, self.width
        return padded[:, h.before : h.before + h.size, w.before : w.before + w.size]

    def windows(self, padded: Array) -> Array:
        """A view of padded images (images, padded height, padded width, channels), each value as often as windows hold
        it: (images, positions down, positions across, window height, window width, channels).
        """
        images, *_, channels = padded.shape
        n, down, across, c = padded.strides
        h, w = self.height, self.width
        return np.lib.stride_tricks.as_strided(
            padded,
            (images, h.positions, w.positions, h.window, w.window, channels),
            (n, down * h.stride, across * w.stride, down * h.dilation, across * w.dilation, c),
        )


def pair(sizes: Sequence[int]) -> tuple[int, int]:
    """Height and width; one number is both."""
    return sizes[0], sizes[-1]


def axis(size: int, *, window: int, stride: int, dilation: int = 1, padding: Padding, index: int = 0) -> Axis:
    """A window along axis `index` (of two, from 0) of an image that has `size` values there."""
    before = after = 0
    if padding.explicit is not None:
        given = padding.explicit
        before, after = pair(given.before)[index], pair(given.after or given.before)[index]
    elif padding.same is not None:
        extent, positions = (window - 1) * dilation + 1, -(-size // stride)
        missing = max((positions - 1) * stride + extent - size, 0)
        before, after = missing // 2, missing - missing // 2
    return Axis(size, window, stride, dilation, before, after)


def geometry(axes: Sequence[Axis]) -> Geometry:
    """Windows along two axes; along one, as over images of height 1."""
    return Geometry(*axes) if len(axes) == 2 else Geometry(Axis(1, 1, 1, 1, 0, 0), *axes)


def rank_problem(dimensions: int, shape: Shape, padding: Padding) -> str | None:
    """Why a layer whose windows have so many dimensions cannot take samples of this shape; None if it can."""
    if len(shape) != dimensions + 1:
        return f"takes {SAMPLES_BY_DIMENSIONS[dimensions]}: add `reshape` before it"
    given = padding.explicit
    if given is not None and dimensions == 1 and max(len(given.before), len(given.after)) > 1:
        return "takes sequences: its padding is one number before and one after"
    return None


def fit_problem(what: str, axes: Sequence[Axis]) -> str | None:
    """Why not one window fits, with what it is called; None if it fits along each axis."""
    for axis_, name in zip(axes, ("height", "width") if len(axes) == 2 else ("length",), strict=True):
        if axis_.positions < 1:
            padding = f", padding of {axis_.before} and {axis_.after} included" if axis_.before or axis_.after else ""
            return f"has a {what} of {name} {axis_.extent}, larger than its input's {axis_.padded}{padding}"
    return None


def to_channels_first(graph: OnnxGraph, x: str, dimensions: int) -> str:
    """Add the change from (rows, ..., channels), with so many axes between, to (rows, channels, ...)."""
    return graph.node("Transpose", [x], perm=[0, dimensions + 1, *range(1, dimensions + 1)])


def to_channels_last(graph: OnnxGraph, x: str, dimensions: int) -> str:
    """The way back."""
    return graph.node("Transpose", [x], perm=[0, *range(2, dimensions + 2), 1])


def onnx_attributes(axes: Sequence[Axis]) -> dict[str, Any]:
    """The windows along these axes under the names of ONNX's operators."""
    return {
        "kernel_shape": [axis.window for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": [axis.before for axis in axes] + [axis.after for axis in axes],
    }
