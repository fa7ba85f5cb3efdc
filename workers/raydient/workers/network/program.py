"""A network compiled for one number of rows: every buffer is allocated once, no array in the steady state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .graph import Network
from .layers import INFERENCE, Pass, Views
from .memory import plan

Array = NDArray[np.floating]


class Program:
    """Forward and backward pass of `network` over exactly `rows` samples. For one thread at a time.

    The caller fills `x` and `y`, calls `forward` and then, once, `backward`. The results are a pure function of x, y,
    the weights and the pass: same shapes, same operations, same bits on the same machine.

    Backpropagation goes through the layers in reverse. When a layer's turn comes, every layer that takes its output has
    left its derivative, and their sum, dy, is complete: where a value goes on two ways, the derivatives add. The same
    holds for the parameters of layers that share them. Derivatives live in slabs of memory that are given on as soon as
    they are used up: two for a chain of layers, more where paths run side by side (`memory.plan`).

    Attributes:
        x: samples, (rows, *input shape), of the program's dtype.
        y: labels, (rows, *label shape); int32 class indices or the program's dtype, as the loss wants.
        outputs: each layer's output for `x`, (rows, *output shape), as `forward` left it; to be read only.
    """

    def __init__(self, network: Network, rows: int, dtype: DTypeLike = np.float32) -> None:
        self.network = network
        self.rows = rows
        self.x: Array = np.zeros((rows, *network.input_shape), dtype)
        self._plan = plan(network, self.x)
        self.outputs = self._plan.outputs
        self._loss = network.loss(self.outputs[-1], self._plan.gradient, self._plan.scratch)
        self.y: NDArray[Any] = self._loss.labels
        self._layers = tuple(zip(network.layers, self._plan.buffers, strict=True))
        self._shared = self._later_uses(np.dtype(dtype))

    def _later_uses(self, dtype: np.dtype[Any]) -> dict[int, Views]:
        """For each node that is not the first in the backward pass to use its parameters: room for its gradient."""
        first: dict[int, int] = {}
        later: dict[int, Views] = {}
        for place in self._plan.backward_order:
            node = self.network.nodes[place]
            if first.setdefault(node.owner, place) != place:
                later[place] = {p.name: np.zeros(p.shape, dtype) for p in node.layer.parameters}
        return later

    def forward(self, weights: Sequence[Views], this: Pass = INFERENCE) -> NDArray[np.float64]:
        """The network's outputs for `x` and the loss against `y`.

        Args:
            weights: `network.bind(vector)`; only read.
            this: what the pass is for; a backward pass belongs to one of training.

        Returns:
            For each of `network.metric_names` the sum over the rows; (metrics,), overwritten by the next call.
        """
        with _quiet():
            self._run(weights, this)
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
        with _quiet():
            self._loss.backward(scale)
            for place in self._plan.backward_order:
                layer, buffers = self._layers[place]
                room = self._shared.get(place)
                layer.backward(buffers, weights[place], gradients[place] if room is None else room)
                for name, gradient in (room or {}).items():
                    np.add(gradients[place][name], gradient, out=gradients[place][name])
                for total, part in self._plan.joins[place]:
                    np.add(total, part, out=total)

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
            self._run(weights, INFERENCE)
            self._loss.inplace_predict(self.outputs[-1])
        return self.outputs[-1]

    def _run(self, weights: Sequence[Views], this: Pass) -> None:
        for (layer, buffers), views in zip(self._layers, weights, strict=True):
            layer.forward(buffers, views, this)


def _quiet() -> np.errstate:
    """No warnings from values that overflow: a diverging loss shows in the sums, and who asked for them decides."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")
