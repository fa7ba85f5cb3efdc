"""The layer that penalizes large outputs of the layer before it."""

from collections.abc import Sequence
from typing import Any

from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Pass, Shape, Views


class ActivityRegularization(Layer):
    """y = x, with a penalty on y, see `ActivityPenalties`. It follows layers without an `activity_regularizer`."""

    kind = "activity_regularization"
    masked_by = slice(1)
    output_is_view = True
    gradient_is_view = True
    rearranges = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        super().__init__(name, input_shapes, settings)
        self.penalty = settings.l1, settings.l2

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        """Do nothing: y is x."""

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """Do nothing: dx is dy."""

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return xs[0]
