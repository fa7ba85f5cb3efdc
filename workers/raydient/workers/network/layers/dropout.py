"""Dropout, keyed by seed, step, microbatch and layer: every worker drops the same values of a microbatch."""

from collections.abc import Sequence

import numpy as np

from raydient.spec import regularization as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views


class Dropout(Layer):
    """y = m · x with m = 0 with probability p, else 1 / (1 - p), so that y keeps x's mean; dx = m · dy.

    Srivastava et al. (2014). This is the inverted form, in which y = x in evaluation and prediction.
    """

    kind = "dropout"
    masked_by = slice(1)
    gradient_is_view = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Dropout) -> None:
        super().__init__(name, input_shapes, settings)
        self._rate = settings.rate

    def saved(self, rows: int) -> Memory:
        return {"mask": ((rows, *self.output_shape), None)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        if not pass_.training:
            np.copyto(buffers.y, buffers.x)
            return
        mask = buffers.saved["mask"]
        draw_factors(pass_.generator(self.name), self._rate, mask)
        np.multiply(buffers.x, mask, out=buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        np.multiply(buffers.dy, buffers.saved["mask"], out=buffers.dy)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("Identity", xs)


def draw_factors(generator: np.random.Generator, rate: float, out: Floats) -> None:
    """Fill `out` with factors that are 0 with probability `rate`, else 1 / (1 - rate)."""
    generator.random(dtype=out.dtype.type, out=out)  # uniform in [0, 1)
    np.greater_equal(out, rate, out=out, casting="unsafe")
    np.multiply(out, 1 / (1 - rate), out=out)
