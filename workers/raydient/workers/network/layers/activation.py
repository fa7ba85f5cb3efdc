"""An activation as a separate layer."""

from collections.abc import Sequence

import numpy as np

from raydient.spec import layers as spec
from raydient.workers.network.activations import activation
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views


class ActivationLayer(Layer):
    """y = f(x) for each value."""

    kind = "activation"
    masked_by = slice(1)
    gradient_is_view = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.ActivationLayer) -> None:
        super().__init__(name, input_shapes, settings)
        self.activation = activation(settings.function)
        self.rectified_units = self.output_shape[-1] if self.activation.rectifies else 0

    def saved(self, rows: int) -> Memory:
        return self.activation.saved((rows, *self.output_shape))

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        np.copyto(buffers.y, buffers.x)
        self.activation.inplace_forward(buffers.y, buffers.scratch, buffers.saved)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        self.activation.inplace_backward(buffers.y, buffers.dy, buffers.scratch, buffers.saved)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return self.activation.to_onnx(graph, xs[0])
