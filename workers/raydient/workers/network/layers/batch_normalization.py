"""Batch normalization: by statistics of the microbatch in training, by moving averages in evaluation and prediction."""

from collections.abc import Sequence
from math import prod

import numpy as np

from raydient.spec import normalization as spec
from raydient.steps.arrays import Floats
from raydient.steps.layout import Average
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views
from .scale_and_shift import ONES, ZEROS, scale_and_shift


class BatchNormalization(Layer):
    """y = γ n + β with n = (x - μ) / s, s = √(σ² + ε), μ and σ² by channel, the last axis (Ioffe and Szegedy 2015).

    In training μ and σ² are mean and variance over the other axes of the microbatch. With means over the same axes,
    dx = γ / s · (dy - mean(dy) - n · mean(n · dy)): y does not change if x is shifted or scaled, so the parts of dy in
    these two directions are removed. dγ = Σ n · dy and dβ = Σ dy.

    In evaluation and prediction μ and σ² are moving averages, which are stored as parameters. Backward writes μ and σ²
    of the microbatch in place of the gradients by them, with the unbiased estimate of σ² (algorithm 2 of the paper).
    `Program` weights these with the microbatch's share of the batch, the reduction tree adds them up, and the parameter
    server updates the averages.

    A frozen layer does not update the averages and uses them in training, too. y is then a shift and a scale of x, and
    dx = γ / s · dy.
    """

    kind = "batch_normalization"
    masked_by = slice(1)
    gradient_is_view = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.BatchNormalization) -> None:
        super().__init__(name, input_shapes, settings)
        self._epsilon, self._scale, self._center = settings.epsilon, settings.scale, settings.center
        self._frozen = not settings.trainable
        self._size = size = self.output_shape[-1]
        self.parameters = (
            *scale_and_shift(size, scale=self._scale, center=self._center),
            ParameterRule("moving_mean", (size,), ZEROS, size, size, kind=Average(settings.momentum)),
            ParameterRule("moving_variance", (size,), ONES, size, size, kind=Average(settings.momentum)),
        )
        self.least_rows = 1 if self._frozen or prod(self.output_shape[:-1]) > 1 else 2
        self.operations = 2 * prod(self.output_shape)

    def saved(self, rows: int) -> Memory:
        channels = ((self._size,), None)
        if self._frozen:
            return {"factor": channels}
        return {
            "normalized": ((rows * prod(self.output_shape[:-1]), self._size), None),
            "mean": channels,
            "variance": channels,
            "factor": channels,
        }

    def work(self, rows: int) -> Memory:
        return {"shift": ((self._size,), None), "slope": ((self._size,), None)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        x, y, factor = self._rows(buffers.x), self._rows(buffers.y), buffers.saved["factor"]
        if self._frozen or not pass_.training:
            self._inverse(weights["moving_variance"], factor)
            if self._scale:
                np.multiply(factor, weights["gamma"], out=factor)
            np.subtract(x, weights["moving_mean"], out=y)
            np.multiply(y, factor, out=y)
        else:
            n, mean, variance = (buffers.saved[name] for name in ("normalized", "mean", "variance"))
            np.add.reduce(x, axis=0, out=mean)
            np.divide(mean, len(x), out=mean)
            np.subtract(x, mean, out=n)
            np.multiply(n, n, out=y)
            np.add.reduce(y, axis=0, out=variance)
            np.divide(variance, len(x), out=variance)
            self._inverse(variance, factor)
            np.multiply(n, factor, out=n)
            if self._scale:
                np.multiply(n, weights["gamma"], out=y)
                np.multiply(factor, weights["gamma"], out=factor)
            else:
                np.copyto(y, n)
        if self._center:
            np.add(y, weights["beta"], out=y)

    def _rows(self, array: Floats) -> Floats:
        """A view as a matrix with a column for each channel."""
        return array.reshape(-1, self._size)

    def _inverse(self, variance: Floats, out: Floats) -> None:
        """Write 1 / s to `out`."""
        np.add(variance, self._epsilon, out=out)
        np.sqrt(out, out=out)
        np.reciprocal(out, out=out)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        saved, dy, product = buffers.saved, self._rows(buffers.dy), self._rows(buffers.scratch)
        if self._frozen:
            np.multiply(dy, saved["factor"], out=dy)
            return
        n = saved["normalized"]
        shift, slope = buffers.work["shift"], buffers.work["slope"]
        np.add.reduce(dy, axis=0, out=shift)
        np.multiply(n, dy, out=product)
        np.add.reduce(product, axis=0, out=slope)
        if self._center:
            np.copyto(gradients["beta"], shift)
        if self._scale:
            np.copyto(gradients["gamma"], slope)
        np.copyto(gradients["moving_mean"], saved["mean"])
        if len(n) > 1:
            np.multiply(saved["variance"], len(n) / (len(n) - 1), out=gradients["moving_variance"])
        else:  # the variance of one value is unknown: the average does not change
            np.copyto(gradients["moving_variance"], weights["moving_variance"])
        if buffers.dx is None:
            return
        np.divide(shift, len(n), out=shift)
        np.divide(slope, len(n), out=slope)
        np.multiply(n, slope, out=product)
        np.subtract(dy, shift, out=dy)
        np.subtract(dy, product, out=dy)
        np.multiply(dy, saved["factor"], out=dy)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        """Add subtraction, product and sum: ONNX's BatchNormalization requires channels as the second axis."""
        factor = np.reciprocal(np.sqrt(graph.weights("moving_variance") + self._epsilon))
        if self._scale:
            factor = factor * graph.weights("gamma")
        y = graph.node("Sub", [*xs, graph.parameter("moving_mean")])
        y = graph.node("Mul", [y, graph.constant(factor)])
        return graph.node("Add", [y, graph.parameter("beta")]) if self._center else y
