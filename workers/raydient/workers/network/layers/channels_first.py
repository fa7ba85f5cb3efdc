"""What convolution and pooling need in ONNX, whose operators have the channels before the axes of an image."""

from collections.abc import Sequence
from typing import Any

from raydient.workers.network.onnx_graph import OnnxGraph

from .windows import Axis


def to_channels_first(graph: OnnxGraph, x: str, dimensions: int) -> str:
    """Add the change from (rows, ..., channels), with so many axes between, to (rows, channels, ...)."""
    return graph.node("Transpose", [x], perm=[0, dimensions + 1, *range(1, dimensions + 1)])


def to_channels_last(graph: OnnxGraph, x: str, dimensions: int) -> str:
    """The way back."""
    return graph.node("Transpose", [x], perm=[0, *range(2, dimensions + 2), 1])


def onnx_attributes(axes: Sequence[Axis]) -> dict[str, Any]:
    """The windows along these axes as ONNX's operators call them."""
    return {
        "kernel_shape": [axis.window for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.dilation for axis in axes],
        "pads": [axis.before for axis in axes] + [axis.after for axis in axes],
    }
