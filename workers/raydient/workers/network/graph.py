"""The network: a graph of layers with its parameter layout and losses. It has no arrays; see `Program`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec import network as spec
from raydient.steps.arrays import Floats
from raydient.steps.gradient import Dense, Gradient, Part
from raydient.steps.layout import Layout
from raydient.steps.scores import RANKS
from raydient.workers.streams import Purpose, stream

from .ends import only
from .initializers import INITIALIZERS
from .layers import Layer, Shape, Views
from .losses import Loss
from .metrics import OutputMetric, values_of
from .standardization import Scaling


@dataclass(frozen=True, slots=True)
class Node:
    """A layer in the graph.

    Attributes:
        layer: the layer.
        sources: places in `Network.nodes` of the nodes that it reads, or numbers below 0 for inputs (`ends.is_input`).
        owner: place of the first node that uses the same parameters: its own place, unless the layer is shared.
        parameters_of: name of the layer that prefixes the names of the parameters.
    """

    layer: Layer
    sources: tuple[int, ...]
    owner: int
    parameters_of: str


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the network: a layer and the loss that compares it with a label.

    Attributes:
        name: name of the layer.
        place: place of its node.
        shape: shape of the output for one sample, without the row axis.
        label: name of the label.
        loss: class of the loss.
        settings: settings of the loss from the specification.
        weight: factor of the loss in the sum that training minimizes.
        metrics: metrics besides those of the loss.
        prefix: prefix of the names of its values: empty for a single unnamed output, else the output's name and `_`.
        scaling: standardization of the label, which predictions and metrics, but not the loss, undo; None without one.
    """

    name: str
    place: int
    shape: Shape
    label: str
    loss: type[Loss]
    settings: Any
    weight: float
    metrics: tuple[OutputMetric, ...]
    prefix: str
    scaling: Scaling | None = None

    @property
    def label_shape(self) -> Shape:
        """Shape of one sample's label, encoded for the loss."""
        return self.loss.label_shape(self.shape)

    @property
    def label_dtype(self) -> np.dtype[Any]:
        """Type of one sample's label, encoded for the loss."""
        return np.dtype(self.loss.label_dtype)


class Network:
    """A graph of layers in topological order, and the losses at its outputs. Immutable; `build` creates it.

    Attributes:
        spec: the specification.
        nodes: the layers and their places in the graph.
        layers: the layers of the nodes, in the same order.
        layout: layout of all parameters in the flat vector, named `{layer}.{parameter}`.
        input_shapes: shape of one sample of each input, without the row axis, by name.
        outputs: the outputs, in the order of the specification; by default the last layer.
        metrics: metrics with sums of their own, output by output.
        sums: number of all sums; those of `metric_names` come first.
        ranks: for each column of the scores of rows, the index of its first sum, see `steps.scores.write_ranks`.
        metric_names: names of the values that are summed over rows. For a single unnamed output: `loss` and the metrics
            of its loss. For named outputs: `loss`, the weighted sum, then `{output}_loss` and `{output}_{metric}`.
    """

    def __init__(
        self,
        specification: spec.Network,
        input_shapes: Mapping[str, Shape],
        nodes: Sequence[Node],
        outputs: Sequence[Output],
    ) -> None:
        self.spec = specification
        self.nodes = tuple(nodes)
        self.layers = tuple(node.layer for node in nodes)
        rules = {
            f"{node.parameters_of}.{p.name}": p
            for place, node in enumerate(nodes)
            if node.owner == place
            for p in node.layer.parameters
        }
        self.layout = Layout.of(
            ((name, rule.shape) for name, rule in rules.items()),
            {name: rule.kind for name, rule in rules.items()},
            {name for name, rule in rules.items() if rule.sparse},
        )
        self.input_shapes = dict(input_shapes)
        self.outputs = tuple(outputs)
        self.metric_names = self._metric_names()
        self.metrics = tuple(metric for output in self.outputs for metric in output.metrics)
        ends = list(accumulate((metric.size for metric in self.metrics), initial=len(self.metric_names)))
        self.sums = ends[-1]
        self.ranks = tuple(
            place
            for metric, start in zip(self.metrics, ends, strict=False)
            if metric.metric.ranks
            for place in range(start, start + metric.size, RANKS)
        )

    def finish(self, sums: Sequence[float]) -> Mapping[str, float]:
        """Values of loss and metrics by name, from the number of rows followed by the sums of `Program.forward`."""
        return values_of(self.metric_names, self.metrics, sums)

    @property
    def larger_is_better(self) -> Mapping[str, bool]:
        """The direction in which each value of `finish` improves, by name in the same order."""
        own = {name: name.endswith("accuracy") for name in self.metric_names}  # the others are losses and errors
        return own | {metric.name: metric.metric.larger_is_better for metric in self.metrics}

    def _metric_names(self) -> tuple[str, ...]:
        names = tuple(output.prefix + name for output in self.outputs for name in output.loss.metric_names)
        return ("loss", *names) if self.spec.outputs else names

    @property
    def output(self) -> Output:
        """The only output."""
        return only({output.name: output for output in self.outputs})

    def bind(self, vector: Floats) -> tuple[Views, ...]:
        """For each layer, views of its parameters inside `vector` (layout.size,), by name within the layer.

        The vector holds weights or a dense gradient. Bind once and change the vector in place; nothing is copied.
        Layers that share parameters have the same views.
        """
        return self._bind({name: Dense(view) for name, view in self.layout.views(vector).items()})

    def bind_gradient(self, gradient: Gradient) -> tuple[Views, ...]:
        """For each layer, views of the gradient by its parameters, dense or row-sparse."""
        return self._bind(gradient.parts(self.layout))

    def _bind(self, parts: Mapping[str, Part]) -> tuple[Views, ...]:
        return tuple(
            Views({p.name: parts[f"{node.parameters_of}.{p.name}"] for p in node.layer.parameters})
            for node in self.nodes
        )

    def initialize(self, seed: int, vector: NDArray[np.float32]) -> None:
        """Fill `vector` (layout.size,) with initial weights, in place.

        Each parameter has a random stream keyed by (seed, name), so that adding a layer does not change the others.
        """
        for place, (node, views) in enumerate(zip(self.nodes, self.bind(vector), strict=True)):
            for p in node.layer.parameters if node.owner == place else ():
                generator = stream(Purpose.PARAMETER, seed, f"{node.parameters_of}.{p.name}")
                fill = INITIALIZERS[p.initializer.kind]
                fill(views[p.name], generator, p.fan_in, p.fan_out, p.initializer.value)
                views[p.name][..., slice(*p.ones)] = 1
