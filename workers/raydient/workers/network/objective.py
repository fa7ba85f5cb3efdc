"""The objective of training: the weighted sum of the losses at the outputs of a program."""

from itertools import pairwise

import numpy as np

from raydient.steps.arrays import AnyArray, Floats
from raydient.steps.scores import RANKS, SCORE

from .graph import Network
from .losses import Loss
from .memory import Plan
from .metrics import R2, Ranking


class Objective:
    """The losses of one program.

    Attributes:
        labels: labels of each output, (rows, *label shape), by name; filled by the caller.
        sums: float64, a sum over the rows for each of `Network.metric_names`, then the sums of `Network.metrics`.
        scores: (rows, columns), of type `steps.scores.SCORE`; a column for each of `Network.ranks`.
        centers: for each output with the metric `r2` a value near its labels, (k,), by name; filled by the caller.
    """

    def __init__(self, network: Network, plan: Plan) -> None:
        values = [plan.outputs[output.place] for output in network.outputs]
        self._outputs, self._values = network.outputs, values
        self._predictions = plan.gradients  # the losses have views of them
        self._losses: list[Loss] = [
            output.loss(output.settings, *arrays)
            for output, *arrays in zip(network.outputs, values, plan.gradients, plan.scratches, strict=True)
        ]
        for output, loss in zip(network.outputs, self._losses, strict=True):
            loss.unit = output.scaling.scale if output.scaling else None
        self.labels: dict[str, AnyArray] = {
            output.name: loss.labels for output, loss in zip(network.outputs, self._losses, strict=True)
        }
        self._plain = not network.spec.outputs
        self.sums, self._names = np.zeros(network.sums), len(network.metric_names)
        bound = [
            (output.name, metric.bind(loss))
            for output, loss in zip(network.outputs, self._losses, strict=True)
            for metric in output.metrics
        ]
        self._metrics = [metric for _, metric in bound]
        self.centers = {name: metric.center for name, metric in bound if isinstance(metric, R2)}
        self.scores = np.zeros((len(values[0]), len(network.ranks)), SCORE)
        ranking = [metric for metric in self._metrics if isinstance(metric, Ranking)]
        first = 0
        for metric, size in zip(ranking, (m.size for m in network.metrics if m.metric.ranks), strict=True):
            last = first + size // RANKS
            metric.scores, first = self.scores[:, first:last], last
        ends = np.cumsum([self._names, *(metric.size for metric in network.metrics)])
        self._parts = [self.sums[start:stop] for start, stop in pairwise(ends)]

    def weigh_samples(self) -> Floats:
        """Return factors of the losses of the samples, (rows,), for the caller to fill; they begin at 1."""
        weights = np.ones(len(self._values[0]), self._values[0].dtype)
        for loss in self._losses:
            loss.weigh_samples(weights)
        return weights

    def forward(self) -> None:
        """Compute `sums` from outputs and labels."""
        for loss in self._losses:
            loss.forward()
        for metric, part in zip(self._metrics, self._parts, strict=True):
            metric.count(part)
        if self._plain:
            self.sums[: self._names] = self._losses[0].sums
        else:
            self.sums[0] = sum(o.weight * loss.sums[0] for o, loss in zip(self._outputs, self._losses, strict=True))
            np.concatenate([loss.sums for loss in self._losses], out=self.sums[1 : self._names])

    def magnitude(self) -> float:
        """Return the weighted sum of the amounts of all losses, of which `sums` has the sum; call after `forward`."""
        pairs = zip(self._outputs, self._losses, strict=True)
        return float(sum(output.weight * np.abs(loss.losses).sum() for output, loss in pairs))

    def backward(self, scale: float) -> None:
        """Compute the derivative of `scale` times the weighted sum by each output. Call once after each `forward`."""
        for output, loss in zip(self._outputs, self._losses, strict=True):
            loss.backward(scale * output.weight)

    def predict(self) -> dict[str, Floats]:
        """The outputs with the activation that each loss assumes, by name; buffers of the program.

        Those of a standardized label have its unit.

        The outputs of the layers do not change, because another layer may read one or share its memory.
        """
        ends = zip(self._outputs, self._values, self._predictions, self._losses, strict=True)
        for output, value, prediction, loss in ends:
            np.copyto(prediction, value)
            loss.inplace_predict(loss.gradient)
            if output.scaling:
                prediction[...] = output.scaling.undo(prediction)
        return {output.name: value for output, value in zip(self._outputs, self._predictions, strict=True)}
