"""The fully connected layer: the chain rule in six lines."""

from collections.abc import Sequence
from math import prod

import numpy as np

from raydient.spec import layers as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.activations import activation
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, learned

TRANSPOSED_FROM = 1 << 16
"""Minimum number of values of a kernel for which (K dzᵀ)ᵀ may be faster than dz Kᵀ."""


class Dense(Layer):
    """y = f(x K + b), with f an activation: y, dy (rows, units); x, dx (rows, inputs); K (inputs, units); b (units).

    With dz = dy · f'(z) the chain rule gives dK = xᵀ dz, db = Σ_rows dz and dx = dz Kᵀ.

    Samples with more axes count as more rows: the layer connects the last axis, with the same kernel at every place.

    For a product with Kᵀ the matrix library rearranges K, which takes a large part of the time if dz has few rows. Then
    dx is computed as (K dzᵀ)ᵀ: the same sums in the same order, in 50 % to 90 % of the time.
    """

    kind = "dense"
    masked_by = slice(1)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Dense) -> None:
        super().__init__(name, input_shapes, settings)
        (*places, inputs), units = self.input_shape, settings.units
        self.output_shape = (*places, units)
        kernel, kind = settings.kernel_initializer, learned(settings.kernel_regularizer)
        self.parameters = (ParameterRule("kernel", (inputs, units), kernel, inputs, units, kind=kind),)
        self.operations = prod(places) * units * (2 * inputs + settings.use_bias)
        if settings.use_bias:
            bias, penalty = settings.bias_initializer, learned(settings.bias_regularizer)
            self.parameters += (ParameterRule("bias", (units,), bias, inputs, units, kind=penalty),)
        self.use_bias = settings.use_bias
        self.activation = activation(settings.activation)
        self.rectified_units = units if self.activation.rectifies else 0

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Dense) -> str | None:
        return None if input_shapes[0] else "takes vectors"

    def saved(self, rows: int) -> Memory:
        return self.activation.saved((rows, *self.output_shape))

    def work(self, rows: int) -> Memory:
        inputs, units = self.parameters[0].shape
        rows *= prod(self.output_shape[:-1])
        is_transposed = rows <= units // 4 and inputs * units >= TRANSPOSED_FROM
        return {"transposed": ((inputs, rows), None)} if is_transposed else {}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        x, y = _rows(buffers.x), _rows(buffers.y)
        np.matmul(x, weights["kernel"], out=y)
        if self.use_bias:
            np.add(y, weights["bias"], out=y)
        self.activation.inplace_forward(buffers.y, buffers.scratch, buffers.saved)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        self.activation.inplace_backward(buffers.y, buffers.dy, buffers.scratch, buffers.saved)
        x, dz = _rows(buffers.x), _rows(buffers.dy)
        np.matmul(x.T, dz, out=gradients["kernel"])
        if self.use_bias:
            np.add.reduce(dz, axis=0, out=gradients["bias"])
        if buffers.dx is not None:
            _times_transposed(dz, weights["kernel"], _rows(buffers.dx), buffers.work.get("transposed"))

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        z = graph.node("MatMul", [xs[0], graph.parameter("kernel")])
        if self.use_bias:
            z = graph.node("Add", [z, graph.parameter("bias")])
        return self.activation.to_onnx(graph, z)


def _rows(array: Floats) -> Floats:
    """A view as a matrix, for any number of axes of a sample."""
    return array.reshape(-1, array.shape[-1])


def _times_transposed(dz: Floats, kernel: Floats, dx: Floats, transposed: Floats | None) -> None:
    """Compute dx = dz Kᵀ or, if there is an array for dxᵀ, (K dzᵀ)ᵀ."""
    if transposed is None:
        np.matmul(dz, kernel.T, out=dx)
    else:
        np.matmul(kernel, dz.T, out=transposed)
        np.copyto(dx, transposed.T)
