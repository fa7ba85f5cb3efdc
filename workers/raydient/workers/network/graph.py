"""The network: a graph of layers with its parameter layout and losses, and nothing allocated. Made by `build`."""

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
from raydient.workers.streams import Purpose, stream

from .ends import only
from .initializers import INITIALIZERS
from .layers import Layer, Shape, Views
from .losses import Loss
from .metrics import OutputMetric, values_of


@dataclass(frozen=True, slots=True)
class Node:
    """A layer in the graph.

    Attributes:
        layer: what it computes.
        sources: places, in the order of `Network.nodes`, of what it takes; below 0 for an input
            (`ends.is_input`).
        owner: place of the first node that uses the same parameters: its own, unless the layer is shared.
        parameters_of: name of the layer whose parameters they are called after.
    """

    layer: Layer
    sources: tuple[int, ...]
    owner: int
    parameters_of: str


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the network: a layer and the loss that compares it with a label.

    Attributes:
        name: of the layer.
        place: of its node.
        shape: of one sample's output, without the row axis.
        label: name of what it is compared with.
        loss: how.
        settings: of the loss, as its specification holds them.
        weight: of the loss within the sum that training makes small.
        metrics: what is counted besides what the loss measures.
        prefix: of the names of its values: of an only output nothing, else the output's name and `_`.
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

    @property
    def label_shape(self) -> Shape:
        """Shape of one sample's label, encoded for the loss."""
        return self.loss.label_shape(self.shape)

    @property
    def label_dtype(self) -> np.dtype[Any]:
        """Likewise."""
        return np.dtype(self.loss.label_dtype)


class Network:
    """A graph of layers, each after those that it takes, and the losses at its ends. Immutable; made by `build`.

    Attributes:
        spec: what it was built from.
        nodes: layers and where they stand.
        layers: those of the nodes, in the same order: named, with known shapes.
        layout: of all parameters in the flat vector, named `{layer}.{parameter}`.
        input_shapes: of one sample of each input, without the row axis, by name.
        outputs: in the order of the specification; without `outputs` there the last layer's.
        metrics: metrics with several sums each, output by output.
        sums: number of all sums; those of `metric_names` come first.
        ranks: for each metric that ranks rows, the index of its first sum, see `steps.scores.write_ranks`.
        metric_names: what is summed over rows, the loss first: of the only output `loss` and what its loss names, of
            several `loss`, the weighted sum, and then for each `{output}_loss`, `{output}_{metric}`.
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
        self.ranks = tuple(place for metric, place in zip(self.metrics, ends, strict=False) if metric.metric.ranks)

    def finish(self, sums: Sequence[float]) -> Mapping[str, float]:
        """Values of loss and metrics by name, from the number of rows and then the sums of `Program.forward` over
        them.
        """
        return values_of(self.metric_names, self.metrics, sums)

    def _metric_names(self) -> tuple[str, ...]:
        names = tuple(output.prefix + name for output in self.outputs for name in output.loss.metric_names)
        return ("loss", *names) if self.spec.outputs else names

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample of the only input."""
        return only(self.input_shapes)

    @property
    def output(self) -> Output:
        """The only output."""
        return only({output.name: output for output in self.outputs})

    @property
    def output_shape(self) -> Shape:
        """Shape of one sample of the only output."""
        return self.output.shape

    @property
    def label_shape(self) -> Shape:
        """Shape of one sample's label, if there is one output."""
        return self.output.label_shape

    @property
    def label_dtype(self) -> np.dtype[Any]:
        """Likewise."""
        return self.output.label_dtype

    def bind(self, vector: Floats) -> tuple[Views, ...]:
        """For each layer the views of its parameters inside `vector` (layout.size,), by name within the layer.

        For weights, and for gradients that are a plain vector. Views, never copies: bind once and change the vector in
        place. Layers that share parameters have the same views.
        """
        return self._bind({name: Dense(view) for name, view in self.layout.views(vector).items()})

    def bind_gradient(self, gradient: Gradient) -> tuple[Views, ...]:
        """The same for a gradient whose tables are row-sparse."""
        return self._bind(gradient.parts(self.layout))

    def _bind(self, parts: Mapping[str, Part]) -> tuple[Views, ...]:
        return tuple(
            Views({p.name: parts[f"{node.parameters_of}.{p.name}"] for p in node.layer.parameters})
            for node in self.nodes
        )

    def initialize(self, seed: int, vector: NDArray[np.float32]) -> None:
        """Fill `vector` (layout.size,) with initial weights, in place.

        Each parameter has a random stream of its own, keyed by (seed, name): another layer changes none of the others.
        """
        for place, (node, views) in enumerate(zip(self.nodes, self.bind(vector), strict=True)):
            for p in node.layer.parameters if node.owner == place else ():
                generator = stream(Purpose.PARAMETER, seed, f"{node.parameters_of}.{p.name}")
                fill = INITIALIZERS[p.initializer.kind]
                fill(views[p.name], generator, p.fan_in, p.fan_out, p.initializer.value)
                views[p.name][..., slice(*p.ones)] = 1
