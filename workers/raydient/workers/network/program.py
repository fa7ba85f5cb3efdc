"""A network compiled for one number of rows: every buffer is allocated once, no array in the steady state."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .graph import Network
from .layers import Buffers, Shape, Views

Array = NDArray[np.floating]


class Program:
    """Forward and backward pass of `network` over exactly `rows` samples. For one thread at a time.

    The caller fills `x` and `y`, calls `forward` and then, once, `backward`. The results are a pure function of x, y
    and the weights: same shapes, same operations, same bits on the same machine.

    The derivatives live in two slabs of memory that take turns: while one holds a layer's dy, the other is first the
    activation's scratch and then receives dx.

    Attributes:
        x: samples, (rows, *input shape), of the program's dtype.
        y: labels, (rows, *label shape); int32 class indices or the program's dtype, as the loss wants.
        outputs: each layer's output for `x`, (rows, *output shape), as `forward` left it; to be read only.
    """

    def __init__(self, network: Network, rows: int, dtype: DTypeLike = np.float32) -> None:
        self.network = network
        self.rows = rows
        self.x: Array = np.zeros((rows, *network.input_shape), dtype)
        self.outputs = self._allocate_outputs()
        slabs = [np.zeros(rows * max(prod(layer.output_shape) for layer in network.layers), dtype) for _ in range(2)]
        gradient, scratch = (_shaped(slab, rows, network.output_shape) for slab in slabs)
        self._loss = network.loss(self.outputs[-1], gradient, scratch)
        self.y: NDArray[Any] = self._loss.labels
        self._first_to_learn = next(i for i, layer in enumerate(network.layers) if layer.parameters)
        self._buffers = self._plan(gradient, slabs)
        self._backward_order = tuple(range(len(network.layers) - 1, self._first_to_learn - 1, -1))

    def forward(self, weights: Sequence[Views]) -> NDArray[np.float64]:
        """The network's outputs for `x` and the loss against `y`.

        Args:
            weights: `network.bind(vector)`; only read.

        Returns:
            For each of `network.metric_names` the sum over the rows; (metrics,), overwritten by the next call.
        """
        with _quiet():
            self._run(weights)
            self._loss.forward()
        return self._loss.sums

    def backward(self, weights: Sequence[Views], gradients: Sequence[Views], scale: float) -> None:
        """Backpropagation: the gradient of `scale` times the summed loss by every parameter.

        With `scale` = 1 / rows of the whole batch the gradients of its microbatches add up to that of its mean loss.

        Args:
            weights: those that `forward` was called with, unchanged since.
            gradients: `network.bind(vector)` of the gradient's vector; overwritten.
            scale: factor of the loss.
        """
        layers = self.network.layers
        with _quiet():
            self._loss.backward(scale)
            for i in self._backward_order:
                layers[i].backward(self._buffers[i], weights[i], gradients[i])

    def count_active(self, active: Array) -> None:
        """Which units with a rectifier were not zero for every sample, after `forward`.

        Args:
            active: (units with a rectifier), in the order of the layers; 1 for those and 0 for the others, overwritten.
        """
        first = 0
        for layer, y in zip(self.network.layers, self.outputs, strict=True):
            last = first + layer.rectified_units
            if last > first:
                largest = np.max(y, axis=tuple(range(y.ndim - 1)))
                np.not_equal(largest, 0, out=active[first:last], casting="unsafe")
            first = last

    def predict(self, weights: Sequence[Views]) -> Array:
        """The outputs for `x`, with the activation that the loss assumes: softmax or sigmoid for cross-entropies.

        Returns:
            (rows, *output shape); the program's own buffer, overwritten by the next call.
        """
        with _quiet():
            self._run(weights)
            self._loss.inplace_predict(self.outputs[-1])
        return self.outputs[-1]

    def _run(self, weights: Sequence[Views]) -> None:
        for layer, buffers, views in zip(self.network.layers, self._buffers, weights, strict=True):
            layer.forward(buffers, views)

    def _allocate_outputs(self) -> tuple[Array, ...]:
        """Each layer's output, in order."""
        outputs: list[Array] = []
        x = self.x
        for layer in self.network.layers:
            shape = (self.rows, *layer.output_shape)
            x = x.reshape(shape) if layer.output_is_view else np.zeros(shape, self.x.dtype)
            outputs.append(x)
        return tuple(outputs)

    def _plan(self, dy: Array, slabs: list[Array]) -> tuple[Buffers, ...]:
        """The arrays of each layer, in order; `dy`, in the first slab, is the derivative by the last output."""
        buffers: list[Buffers] = []
        taken, free = slabs
        for i, layer in reversed(list(enumerate(self.network.layers))):
            x = self.outputs[i - 1] if i else self.x
            scratch, dx = _shaped(free, self.rows, layer.output_shape), None
            if i > self._first_to_learn and layer.gradient_is_view:
                dx = dy.reshape(x.shape)
            elif i > self._first_to_learn:
                dx = _shaped(free, self.rows, layer.input_shape)
                taken, free = free, taken
            buffers.append(Buffers(x, self.outputs[i], dy, dx, scratch))
            dy = dy if dx is None else dx
        return tuple(reversed(buffers))


def _shaped(slab: Array, rows: int, shape: Shape) -> Array:
    """The beginning of a slab as (rows, *shape)."""
    return slab[: rows * prod(shape)].reshape(rows, *shape)


def _quiet() -> np.errstate:
    """No warnings from values that overflow: a diverging loss shows in the sums, and who asked for them decides."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")
