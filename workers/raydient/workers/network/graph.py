"""From a specification to a network: names, shapes and parameter layout, with nothing allocated."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from raydient.spec import network as spec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.wire.layout import Layout
from raydient.workers.streams import Purpose, stream

from .initializers import INITIALIZERS
from .layers import LAYERS, Layer, Shape, Views, shape_text
from .losses import LOSSES
from .wiring import SAMPLES, Wire, path, wire

MAXIMUM_PARAMETERS = 2**31 - 1
"""8 GiB of weights: more is a slip of the pen rather than a network for this service."""


@dataclass(frozen=True, slots=True)
class Node:
    """A layer in the graph.

    Attributes:
        layer: what it computes.
        sources: places, in the order of `Network.nodes`, of what it takes; SAMPLES for the network's input.
        owner: place of the first node that uses the same parameters: its own, unless the layer is shared.
        parameters_of: name of the layer whose parameters they are called after.
    """

    layer: Layer
    sources: tuple[int, ...]
    owner: int
    parameters_of: str


class Network:
    """A graph of layers, each after those that it takes, and the loss at its end. Immutable; made by `build`.

    Attributes:
        spec: what it was built from.
        nodes: layers and where they stand; the last one gives the network's output.
        layers: those of the nodes, in the same order: named, with known shapes.
        layout: of all parameters in the flat vector, named `{layer}.{parameter}`.
        input_shape, output_shape: of one sample, without the row axis.
        label_shape, label_dtype: of one sample's label, as the loss wants it.
        metric_names: what the loss sums over rows, `loss` first.
    """

    def __init__(self, specification: spec.Network, input_shape: Shape, nodes: Sequence[Node]) -> None:
        self.spec = specification
        self.nodes = tuple(nodes)
        self.layers = tuple(node.layer for node in nodes)
        self.layout = Layout.of(
            (f"{node.parameters_of}.{p.name}", p.shape)
            for place, node in enumerate(nodes)
            if node.owner == place
            for p in node.layer.parameters
        )
        self.input_shape = input_shape
        self.output_shape = self.layers[-1].output_shape
        self.loss = LOSSES[specification.loss.kind]
        self.label_shape = self.loss.label_shape(self.output_shape)
        self.label_dtype = np.dtype(self.loss.label_dtype)
        self.metric_names = self.loss.metric_names

    def bind(self, vector: NDArray[np.floating]) -> tuple[Views, ...]:
        """For each layer the views of its parameters inside `vector` (layout.size,), by name within the layer.

        For weights and gradients alike. Views, never copies: bind once and change the vector in place. Layers that
        share parameters have the same views.
        """
        views = self.layout.views(vector)
        return tuple(
            {p.name: views[f"{node.parameters_of}.{p.name}"] for p in node.layer.parameters} for node in self.nodes
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


def build(network: spec.Network, input_shape: Shape) -> Network:
    """The network that a specification describes, for samples of `input_shape` (without the row axis).

    Raises:
        InvalidSpec: with every rule broken: a graph that is none, shapes that do not fit, nothing to train.
    """
    wires, errors = wire(network.layers)
    if errors:
        raise InvalidSpec(errors)
    builder = _Builder(network, input_shape)
    for this in wires:
        builder.add(this)
    return builder.finish()


class _Builder:
    """Layers made one after the other; a shape that does not fit is noted and replaced, to find what else is wrong."""

    def __init__(self, network: spec.Network, input_shape: Shape) -> None:
        self._network, self._input_shape = network, input_shape
        self._nodes: list[Node] = []
        self._places: dict[int, int] = {SAMPLES: SAMPLES}  # from the list to the order of nodes
        self._owners: dict[int, int] = {}  # from the list to the first node with the parameters
        self._errors: list[FieldError] = []

    def add(self, this: Wire) -> None:
        sources = tuple(self._places[source] for source in this.sources)
        shapes = [self._shape(source) for source in sources]
        kind, settings = LAYERS[this.choice.kind], this.choice.value
        where = path(this.index, self._network.layers[this.index])
        if problem := kind.shape_problem(shapes, settings):
            given = " and ".join(dict.fromkeys(map(self._given, sources)))
            self._errors.append(FieldError(where, f"{given}, {this.name} {problem}"))
            shapes = [(prod(shapes[0]),)] * len(shapes)
            if kind.shape_problem(shapes, settings):
                raise InvalidSpec(self._errors)  # nothing is known of what follows
        layer = kind(this.name, shapes, settings)
        self._places[this.index] = place = len(self._nodes)
        owner = self._owners.setdefault(this.owner[0], place)
        if owner != place:
            self._check_shared(where, layer, self._nodes[owner].layer)
        self._nodes.append(Node(layer, sources, owner, this.owner[1]))

    def _check_shared(self, where: str, layer: Layer, owner: Layer) -> None:
        if [(p.name, p.shape) for p in layer.parameters] != [(p.name, p.shape) for p in owner.parameters]:
            text = f"{owner.name} takes samples of shape {shape_text(owner.input_shape)}"
            self._errors.append(FieldError(where, f"{text}, {layer.name} is given {shape_text(layer.input_shape)}"))

    def _shape(self, source: int) -> Shape:
        return self._input_shape if source == SAMPLES else self._nodes[source].layer.output_shape

    def _given(self, source: int) -> str:
        who = "the data gives" if source == SAMPLES else f"{self._nodes[source].layer.name} gives"
        return f"{who} samples of shape {shape_text(self._shape(source))}"

    def finish(self) -> Network:
        layers, errors, loss = [node.layer for node in self._nodes], self._errors, self._network.loss
        if problem := LOSSES[loss.kind].shape_problem(layers[-1].output_shape):
            given = self._given(len(layers) - 1)
            errors.append(FieldError("network.loss", f"{given}, {loss.kind} {problem}"))
        if not any(layer.parameters for layer in layers):
            errors.append(FieldError("network.layers", "no layer has parameters, nothing to train: add `dense`"))
        owners = [node.layer for place, node in enumerate(self._nodes) if node.owner == place]
        count = sum(prod(p.shape) for layer in owners for p in layer.parameters)
        if count > MAXIMUM_PARAMETERS:
            message = f"{count:,} parameters are more than the {MAXIMUM_PARAMETERS:,} that a network may have"
            errors.append(FieldError("network.layers", message))
        if errors:
            raise InvalidSpec(errors)
        return Network(self._network, self._input_shape, self._nodes)
