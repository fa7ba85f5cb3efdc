"""The geometry of windows that slide over images, for convolution and pooling: positions, padding, ONNX attributes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.lib.stride_tricks import as_strided

from raydient.spec.windows import ExplicitPadding, Padding, pair
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Shape

AXES = {1: ("length",), 2: ("height", "width")}
SAMPLES_BY_DIMENSIONS = {1: "sequences (length, channels)", 2: "images (height, width, channels)"}


@dataclass(frozen=True, slots=True)
class Axis:
    """A window that slides along one axis of an image.

    Attributes:
        size: number of values of the image.
        window: number of values of the window.
        stride: distance between neighbouring positions of the window.
        dilation: distance between neighbouring values of the window.
        before, after: padding at the ends of the image.
    """

    size: int
    window: int
    stride: int
    dilation: int
    before: int
    after: int

    @classmethod
    def of(cls, size: int, *, window: int, stride: int, dilation: int = 1, padding: Padding, index: int = 0) -> "Axis":
        """A window along axis `index` (0 or 1) of an image that has `size` values there."""
        before = after = 0
        if padding.explicit is not None:
            before, after = both_sides(padding.explicit, index)
        elif padding.same is not None:
            extent, positions = (window - 1) * dilation + 1, -(-size // stride)
            missing = max((positions - 1) * stride + extent - size, 0)
            before, after = missing // 2, missing - missing // 2
        return cls(size, window, stride, dilation, before, after)

    @property
    def extent(self) -> int:
        """Number of values from the first of the window to the last, with those that dilation skips."""
        return (self.window - 1) * self.dilation + 1

    @property
    def overlap(self) -> int:
        """The smallest number of positions by which two windows must be apart to have no place in common."""
        return -(-self.extent // self.stride)

    @property
    def padded(self) -> int:
        """Number of values of the padded image."""
        return self.before + self.size + self.after

    @property
    def positions(self) -> int:
        """Number of positions of the window; below 1 if the window does not fit."""
        return (self.padded - self.extent) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """Windows over images (height, width): the two axes."""

    height: Axis
    width: Axis

    @classmethod
    def of(cls, axes: Sequence[Axis]) -> "Geometry":
        """Windows along two axes, or along the width of images of height 1."""
        return cls(*axes) if len(axes) == 2 else cls(Axis(1, 1, 1, 1, 0, 0), *axes)

    @property
    def is_padded(self) -> bool:
        return any(axis.before or axis.after for axis in (self.height, self.width))

    def images(self, x: Floats) -> Floats:
        """A view of inputs with any number of axes as images, (rows, height, width, channels)."""
        return x.reshape(len(x), self.height.size, self.width.size, x.shape[-1])

    def outputs(self, y: Floats) -> Floats:
        """A view of outputs with any number of axes as (rows, positions down, positions across, channels)."""
        return y.reshape(len(y), self.height.positions, self.width.positions, y.shape[-1])

    def crop(self, padded: Floats) -> Floats:
        """A view of padded images without their padding, (images, height, width, ...)."""
        h, w = self.height, self.width
        return padded[:, h.before : h.before + h.size, w.before : w.before + w.size]

    def windows(self, padded: Floats) -> Floats:
        """A view of padded images, (images, padded height, padded width, channels), as windows: (images, positions
        down, positions across, window height, window width, channels). Windows that overlap share memory.
        """
        images, *_, channels = padded.shape
        n, down, across, c = padded.strides
        h, w = self.height, self.width
        return as_strided(
            padded,
            (images, h.positions, w.positions, h.window, w.window, channels),
            (n, down * h.stride, across * w.stride, down * h.dilation, across * w.dilation, c),
        )


def both_sides(padding: ExplicitPadding, index: int) -> tuple[int, int]:
    """The padding before and after axis `index`."""
    return pair(padding.before)[index], pair(padding.after or padding.before)[index]


def rank_problem(dimensions: int, shape: Shape, explicit: ExplicitPadding | None) -> str | None:
    """The reason why a layer with windows of `dimensions` axes cannot take samples of this shape, or None."""
    if len(shape) != dimensions + 1:
        return f"takes {SAMPLES_BY_DIMENSIONS[dimensions]}: add `reshape` before it"
    if explicit is not None and dimensions == 1 and max(len(explicit.before), len(explicit.after)) > 1:
        return "takes sequences: its padding is one number before and one after"
    return None


def fit_problem(what: str, axes: Sequence[Axis]) -> str | None:
    """The reason why a window, called `what`, does not fit into the input, or None."""
    for axis, name in zip(axes, AXES[len(axes)], strict=True):
        if axis.positions < 1:
            padding = f", padding of {axis.before} and {axis.after} included" if axis.before or axis.after else ""
            return f"has a {what} of {name} {axis.extent}, larger than its input's {axis.padded}{padding}"
    return None


def to_channels_first(graph: OnnxGraph, x: str, dimensions: int) -> str:
    """Add the transposition from (rows, ..., channels), with `dimensions` axes between, to (rows, channels, ...)."""
    return graph.node("Transpose", [x], perm=[0, dimensions + 1, *range(1, dimensions + 1)])


def to_channels_last(graph: OnnxGraph, x: str, dimensions: int) -> str:
    """Add the inverse of `to_channels_first`."""
    return graph.node("Transpose", [x], perm=[0, *range(2, dimensions + 2), 1])


def onnx_attributes(axes: Sequence[Axis]) -> dict[str, Any]:
    """The windows along these axes as attributes of an ONNX operator."""
    return {
        "kernel_shape": [axis.window for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": [axis.before for axis in axes] + [axis.after for axis in axes],
    }
