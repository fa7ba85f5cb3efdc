"""Normalization of each sample by the statistics of groups of its channels."""

from collections.abc import Sequence
from math import prod

import numpy as np

from raydient.spec import normalization as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views
from .scale_and_shift import scale_and_shift

PLACES_AND_CHANNELS = (1, 3)
"""Axes of (rows, places, groups, channels of a group) over which a group's mean and variance are taken."""


class GroupNormalization(Layer):
    """y = γ n + β with n = (x - μ) / s, s = √(σ² + ε): μ and σ² over the places and channels of a group.

    Wu and He (2018). γ and β belong to channels. With dn = γ dy and means over the group,
    dx = (dn - mean(dn) - n · mean(n · dn)) / s, and dγ = Σ n · dy, dβ = Σ dy over rows and places.
    """

    kind = "group_normalization"
    masked_by = slice(1)
    gradient_is_view = True

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.GroupNormalization) -> None:
        super().__init__(name, input_shapes, settings)
        self._epsilon, self._scale, self._center = settings.epsilon, settings.scale, settings.center
        *places, channels = self.output_shape
        self._grouped = (prod(places), settings.groups, channels // settings.groups)
        self.parameters = scale_and_shift(channels, scale=self._scale, center=self._center)
        self.operations = prod(self.output_shape) * (5 + self._scale + self._center)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.GroupNormalization) -> str | None:
        channels = input_shapes[0][-1] if input_shapes[0] else 0
        fits = channels > 0 and channels % settings.groups == 0
        return None if fits else f"has {settings.groups} groups: give a number that divides the {channels} channels"

    def saved(self, rows: int) -> Memory:
        return {"normalized": ((rows, *self._grouped), None), "inverse": ((rows, 1, self._grouped[1], 1), None)}

    def work(self, rows: int) -> Memory:
        return dict.fromkeys(("mean", "slope"), ((rows, 1, self._grouped[1], 1), None))

    def _by_group(self, channels: Floats) -> Floats:
        return channels.reshape(self._grouped[1:])

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        n, inverse, mean = buffers.saved["normalized"], buffers.saved["inverse"], buffers.work["mean"]
        x, y = buffers.x.reshape(n.shape), buffers.y.reshape(n.shape)
        np.mean(x, axis=PLACES_AND_CHANNELS, keepdims=True, out=mean)
        np.subtract(x, mean, out=n)
        np.multiply(n, n, out=y)
        np.mean(y, axis=PLACES_AND_CHANNELS, keepdims=True, out=inverse)
        np.add(inverse, self._epsilon, out=inverse)
        np.sqrt(inverse, out=inverse)
        np.reciprocal(inverse, out=inverse)
        np.multiply(n, inverse, out=n)
        np.copyto(y, n)
        if self._scale:
            np.multiply(y, self._by_group(weights["gamma"]), out=y)
        if self._center:
            np.add(y, self._by_group(weights["beta"]), out=y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        n, inverse = buffers.saved["normalized"], buffers.saved["inverse"]
        dy, product = buffers.dy.reshape(n.shape), buffers.scratch.reshape(n.shape)
        if self._center:
            np.add.reduce(dy, axis=(0, 1), out=self._by_group(gradients["beta"]))
        np.multiply(n, dy, out=product)
        if self._scale:
            np.add.reduce(product, axis=(0, 1), out=self._by_group(gradients["gamma"]))
        if buffers.dx is None:
            return
        mean, slope = buffers.work["mean"], buffers.work["slope"]
        if self._scale:
            np.multiply(dy, self._by_group(weights["gamma"]), out=dy)
            np.multiply(product, self._by_group(weights["gamma"]), out=product)
        np.mean(dy, axis=PLACES_AND_CHANNELS, keepdims=True, out=mean)
        np.mean(product, axis=PLACES_AND_CHANNELS, keepdims=True, out=slope)
        np.multiply(n, slope, out=product)
        np.subtract(dy, mean, out=dy)
        np.subtract(dy, product, out=dy)
        np.multiply(dy, inverse, out=dy)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        axes, epsilon = graph.constant(PLACES_AND_CHANNELS), graph.constant(self._epsilon)
        x = graph.node("Reshape", [xs[0], graph.constant([0, *self._grouped])])
        shifted = graph.node("Sub", [x, graph.node("ReduceMean", [x, axes])])
        variance = graph.node("ReduceMean", [graph.node("Mul", [shifted, shifted]), axes])
        y = graph.node("Div", [shifted, graph.node("Sqrt", [graph.node("Add", [variance, epsilon])])])
        y = graph.node("Reshape", [y, graph.constant([0, *self.output_shape])])
        if self._scale:
            y = graph.node("Mul", [y, graph.parameter("gamma")])
        return graph.node("Add", [y, graph.parameter("beta")]) if self._center else y
