"""A network compiled for one number of rows: every buffer is allocated once, no array in the steady state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.steps.arrays import aligned_zeros
from raydient.steps.gradient import Dense, Part
from raydient.steps.layout import Average, Frozen
from raydient.steps.scores import Scores
from raydient.steps.sparse import RowSparse

from .ends import only
from .graph import Network
from .layers import INFERENCE, Pass, Views
from .memory import plan
from .objective import Objective

Array = NDArray[np.floating]


class Program:
    """Forward and backward pass of `network` over exactly `rows` samples. For one thread at a time.

    The caller fills inputs and labels, calls `forward` and then, once, `backward`. The results are a pure function of
    them, the weights and the pass: same shapes, same operations, same bits on the same machine.

    Backpropagation goes through the layers in reverse. When a layer's turn comes, every layer that takes its output has
    left its derivative, and their sum, dy, is complete: where a value goes on two ways, the derivatives add. The same
    holds for the parameters of layers that share them. Derivatives live in slabs of memory that are given on as soon as
    they are used up: two for a chain of layers, more where paths run side by side (`memory.plan`).

    Attributes:
        xs: samples, for each input (rows, *input shape), of the program's dtype; by name.
        ys: labels, for each output (rows, *label shape), int32 class indices or the program's dtype, as the loss
            wants; by name.
        sample_weights: factors of the samples' losses, (rows,), where they are `weighted`, else None.
        centers: for each output with the metric `r2` a value near its labels, (k,), filled by the caller; by name. It
            changes only how many digits are lost; 0 at first.
        scores: of each row and each of `Network.ranks`, as `forward` left them; to be read only.
        buffers: the arrays of each layer, in the order of `Network.layers`.
        outputs: each layer's output, (rows, *output shape), as `forward` left it; to be read only.
    """

    def __init__(self, network: Network, rows: int, dtype: DTypeLike = np.float32, *, weighted: bool = False) -> None:
        self.network = network
        self.rows = rows
        self.xs: Mapping[str, Array] = {
            name: aligned_zeros((rows, *shape), dtype) for name, shape in network.input_shapes.items()
        }
        self._plan = plan(network, tuple(self.xs.values()))
        self.buffers, self.outputs = self._plan.buffers, self._plan.outputs
        self._objective = Objective(network, self._plan)
        self.ys: Mapping[str, NDArray[Any]] = self._objective.labels
        self.sample_weights = self._objective.weigh_samples() if weighted else None
        self.centers: Mapping[str, NDArray[np.float64]] = self._objective.centers
        self.scores: Scores = self._objective.scores
        self._layers = tuple(zip(network.layers, self.buffers, strict=True))
        self._shared = self._later_uses(np.dtype(dtype))
        self._statistics = self._find_statistics()
        self._frozen = tuple(
            (place, p.name)
            for place, node in enumerate(network.nodes)
            for p in node.layer.parameters
            if isinstance(p.kind, Frozen)
        )

    def _later_uses(self, dtype: np.dtype[Any]) -> Mapping[int, Views]:
        """For each node that is not the first in the backward pass to use its parameters: room for its gradient."""
        first: dict[int, int] = {}
        later: dict[int, Views] = {}
        for place in self._plan.backward_order:
            node = self.network.nodes[place]
            if first.setdefault(node.owner, place) != place:
                parts: dict[str, Part] = {}
                for p in node.layer.parameters:
                    values = np.zeros(p.shape, dtype)
                    parts[p.name] = RowSparse.over(values) if p.sparse else Dense(values)
                later[place] = Views(parts)
        return later

    @property
    def x(self) -> Array:
        """The samples of the only input."""
        return only(self.xs)

    @property
    def y(self) -> NDArray[Any]:
        """The labels of the only output."""
        return only(self.ys)

    def _find_statistics(self) -> tuple[tuple[int, str, int], ...]:
        """Moving averages: the node that has one, its name there, and how many nodes share it."""
        owners = [node.owner for node in self.network.nodes]
        return tuple(
            (place, p.name, owners.count(place))
            for place, node in enumerate(self.network.nodes)
            for p in node.layer.parameters
            if isinstance(p.kind, Average) and node.owner == place
        )

    def forward(self, weights: Sequence[Views], pass_: Pass = INFERENCE) -> NDArray[np.float64]:
        """The network's outputs and their loss against the labels.

        Args:
            weights: `network.bind(vector)`; only read.
            pass_: what the pass is for; a backward pass belongs to one of training.

        Returns:
            For each of `network.metric_names` the sum over the rows, then those of `network.metrics`; (network.sums,),
            overwritten by the next call.
        """
        with _quiet():
            self._run(weights, pass_)
            self._objective.forward()
        return self._objective.sums

    def backward(self, weights: Sequence[Views], gradients: Sequence[Views], scale: float) -> None:
        """Backpropagation: the gradient of `scale` times the summed loss by every parameter.

        With `scale` = 1 / rows of the whole batch the gradients of its microbatches add up to that of its mean loss,
        and the statistics in the places of moving averages, weighted with the microbatch's share, to their mean.

        Args:
            weights: those that `forward` was called with, unchanged since.
            gradients: `network.bind_gradient(gradient)`, or `network.bind(vector)`; overwritten.
            scale: factor of the loss.
        """
        with _quiet():
            self._objective.backward(scale)
            for place in self._plan.backward_order:
                layer, buffers = self._layers[place]
                room = self._shared.get(place)
                layer.backward(buffers, weights[place], gradients[place] if room is None else room)
                if room is not None:
                    gradients[place].add(room)
                for total, part in self._plan.joins[place]:
                    np.add(total, part, out=total)
            for place, name, uses in self._statistics:
                np.multiply(gradients[place][name], self.rows * scale / uses, out=gradients[place][name])
            for place, name in self._frozen:
                gradients[place].parts[name].clear()

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
        """The only output, with the activation that the loss assumes: softmax or sigmoid for cross-entropies.

        Returns:
            (rows, *output shape); the program's own buffer, overwritten by the next call.
        """
        return only(self.predict_all(weights))

    def predict_all(self, weights: Sequence[Views]) -> Mapping[str, Array]:
        """The same of every output, by name."""
        with _quiet():
            self._run(weights, INFERENCE)
            return self._objective.predict()

    def _run(self, weights: Sequence[Views], pass_: Pass) -> None:
        for (layer, buffers), views in zip(self._layers, weights, strict=True):
            layer.forward(buffers, views, pass_)


def _quiet() -> np.errstate:
    """No warnings from values that overflow: a diverging loss shows in the sums, and who asked for them decides."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")
