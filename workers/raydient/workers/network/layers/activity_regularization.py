"""The layer that penalizes large outputs of the layer before it."""

from collections.abc import Sequence
from typing import Any

from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Pass, Shape, Views


class ActivityRegularization(Layer):
    """y = x, with the penalty l1 Σ |y| + l2 Σ y² of a sample added to its loss; the sums are over the sample's values.

    As in Keras the penalty is averaged over the batch, and weights of samples do not affect it. The program adds its
    derivative, l1 sign(y) + 2 l2 y, to dy before the turn of this layer (`Program.backward`).
    """

    kind = "activity_regularization"
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
