"""A network compiled for one number of rows: all arrays are allocated once, and none in the steady state."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raydient.steps.arrays import AnyArray, Floats, aligned_zeros
from raydient.steps.scores import Scores

from .activity import ActivityPenalties
from .ends import only
from .graph import Network
from .layers import INFERENCE, Pass, Views
from .memory import plan
from .objective import Objective
from .parameter_gradients import ParameterGradients


class Program:
    """Forward and backward pass of `network` over exactly `rows` samples. For one thread at a time.

    The caller fills inputs and labels, calls `forward` and then, once, `backward`. The results are a pure function of
    these, the weights and the pass: same shapes, same operations, same bits on the same machine.

    Derivatives lie in slabs of memory that are reused as soon as possible: two for a chain of layers, more for parallel
    paths (`memory.plan`).

    Attributes:
        xs: samples of each input, (rows, *input shape), of the program's dtype; by name.
        ys: labels of each output, (rows, *label shape), int32 class indices or the program's dtype, as the loss
            requires; by name.
        sample_weights: factors of the samples' losses, (rows,), if the program is `weighted`, else None.
        centers: for each output with the metric `r2` a value near its labels, (k,), by name; filled by the caller, 0 at
            first. It affects only rounding.
        scores: a score of each row for each of `Network.ranks`, computed by `forward`; read only.
        buffers: the arrays of each layer, in the order of `Network.layers`.
        outputs: output of each layer, (rows, *output shape), computed by `forward`; read only.
    """

    def __init__(self, network: Network, rows: int, dtype: DTypeLike = np.float32, *, weighted: bool = False) -> None:
        self.network = network
        self.rows = rows
        self.xs: Mapping[str, Floats] = {
            name: aligned_zeros((rows, *shape), dtype) for name, shape in network.input_shapes.items()
        }
        self._plan = plan(network, tuple(self.xs.values()))
        self.buffers, self.outputs = self._plan.buffers, self._plan.outputs
        self._objective = Objective(network, self._plan)
        self.ys: Mapping[str, AnyArray] = self._objective.labels
        self.sample_weights = self._objective.weigh_samples() if weighted else None
        self.centers: Mapping[str, NDArray[np.float64]] = self._objective.centers
        self.scores: Scores = self._objective.scores
        self._layers = tuple(zip(network.layers, self.buffers, strict=True))
        self._penalties = ActivityPenalties(network)
        self._parameters = ParameterGradients(network, self._plan.backward_order, np.dtype(dtype))

    @property
    def x(self) -> Floats:
        """The samples of the only input."""
        return only(self.xs)

    @property
    def y(self) -> AnyArray:
        """The labels of the only output."""
        return only(self.ys)

    def forward(self, weights: Sequence[Views], pass_: Pass = INFERENCE) -> NDArray[np.float64]:
        """Compute the outputs of the network and their loss against the labels.

        Args:
            weights: `network.bind(vector)`; only read.
            pass_: the purpose of the pass; `backward` requires a pass of training.

        Returns:
            A sum over the rows for each of `network.metric_names`, then the sums of `network.metrics`, (network.sums,);
            overwritten by the next call.
        """
        with _quiet():
            self._run(weights, pass_)
            self._objective.forward()
        return self._objective.sums

    def penalty(self) -> float:
        """Return the penalties on activities of the last `forward`, summed over the rows; no part of its sums."""
        return self._penalties.total(self.buffers)

    def magnitude(self) -> float:
        """Return the summed loss of the last `forward` with all terms positive, the scale of its rounding errors."""
        return self._objective.magnitude()

    def backward(
        self,
        weights: Sequence[Views],
        gradients: Sequence[Views],
        scale: float,
        final: Callable[[int], None] = lambda start: None,
        *,
        share: float | None = None,
    ) -> None:
        """Compute the gradient of `scale` times the summed loss by every parameter: backpropagation.

        The loop is the chain rule, against the order of the layers. When the turn of a layer comes, every layer that
        reads its output has written its part of the derivative by it, and the sum of these parts, dy, is complete. The
        derivative of a penalty on the output is one more part.

        With `scale` = 1 / rows of the whole batch, the gradients of its microbatches add up to that of its mean loss.

        Args:
            weights: the weights of the call of `forward`, unchanged since.
            gradients: `network.bind_gradient(gradient)`, or `network.bind(vector)`; overwritten.
            scale: factor of the loss.
            final: called after the turn of each layer with the index in the flat vector from which on the gradient is
                final. The index never grows.
            share: part of the batch that the rows are, which weights statistics of moving averages; by default
                rows · `scale`.
        """
        share = self.rows * scale if share is None else share
        with _quiet():
            self._objective.backward(scale)
            self._parameters.begin(gradients)
            for place in self._plan.backward_order:
                layer, buffers = self._layers[place]
                self._penalties.add_derivative(place, buffers, scale)
                layer.backward(buffers, weights[place], self._parameters.repeated.get(place, gradients[place]))
                for total, part in self._plan.joins[place]:
                    np.add(total, part, out=total)
                self._parameters.finish(place, gradients, share)
                final(self._parameters.final_from[place])

    def count_active(self, active: Floats) -> None:
        """Find the units with a rectifier that are active: not zero for every sample, after `forward`.

        Args:
            active: (units with a rectifier,), in the order of the layers; overwritten with 1 for active units, else 0.
        """
        first = 0
        for layer, y in zip(self.network.layers, self.outputs, strict=True):
            last = first + layer.rectified_units
            if last > first:
                largest = np.max(y, axis=tuple(range(y.ndim - 1)))
                np.not_equal(largest, 0, out=active[first:last], casting="unsafe")
            first = last

    def predict(self, weights: Sequence[Views]) -> Floats:
        """Compute the only output, with the activation that the loss assumes: softmax or sigmoid for cross-entropies.

        Returns:
            (rows, *output shape); a buffer of the program, overwritten by the next call.
        """
        return only(self.predict_all(weights))

    def predict_all(self, weights: Sequence[Views]) -> Mapping[str, Floats]:
        """Compute every output like `predict`, by name."""
        with _quiet():
            self._run(weights, INFERENCE)
        return self.predicted()

    def predicted(self) -> Mapping[str, Floats]:
        """Return the outputs of the last `forward` as `predict_all` does, in place: no `backward` may follow."""
        with _quiet():
            return self._objective.predict()

    def _run(self, weights: Sequence[Views], pass_: Pass) -> None:
        for (layer, buffers), views in zip(self._layers, weights, strict=True):
            layer.forward(buffers, views, pass_)


def _quiet() -> np.errstate:
    """Suppress warnings of overflow: the sums show a diverging loss, and the caller decides."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")
