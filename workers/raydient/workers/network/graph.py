"""From a specification to a network: names, shapes and parameter layout, with nothing allocated."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec import functions
from raydient.spec import network as spec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT
from raydient.steps.layout import FROZEN, Layout
from raydient.workers.streams import Purpose, stream

from .activations import ACTIVATIONS
from .counting import Counted, counted, finish
from .initializers import INITIALIZERS
from .layers import LAYERS, Layer, Shape, Views, account_of, shape_text
from .losses import Loss, loss_class
from .metrics import metric_problem
from .named import only
from .wiring import Wire, input_number, is_input, path, wire

MAXIMUM_PARAMETERS = 2**31 - 1
"""8 GiB of weights: more is a slip of the pen rather than a network for this service."""


@dataclass(frozen=True, slots=True)
class Node:
    """A layer in the graph.

    Attributes:
        layer: what it computes.
        sources: places, in the order of `Network.nodes`, of what it takes; below 0 for an input
            (`wiring.is_input`).
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
    metrics: tuple[Counted, ...]
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
        penalties: by name of a parameter that has one, l1 and l2 of l1 · Σ |w| + l2 · Σ w².
        input_shapes: of one sample of each input, without the row axis, by name.
        outputs: in the order of the specification; without `outputs` there the last layer's.
        metrics: metrics with several sums each, output by output.
        sums: number of all sums; those of `metric_names` come first.
        ranks: for each metric that ranks rows, the index of its first sum, see `wire.scores.write_ranks`.
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
            {name: rule.momentum for name, rule in rules.items() if rule.momentum is not None},
            {name for name, rule in rules.items() if rule.sparse},
        )
        self.penalties = {
            name: (rule.penalty.l1, rule.penalty.l2)
            for name, rule in rules.items()
            if rule.momentum is None and (rule.penalty.l1 or rule.penalty.l2)
        }
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
        return finish(self.metric_names, self.metrics, sums)

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

    def bind(
        self, vector: NDArray[np.floating], accounts: Mapping[str, NDArray[np.int32]] = MappingProxyType({})
    ) -> tuple[Views, ...]:
        """For each layer the views of its parameters inside `vector` (layout.size,), by name within the layer.

        For weights and gradients alike. Views, never copies: bind once and change the vector in place. Layers that
        share parameters have the same views. `accounts` are those of sparse gradients, by the parameter's name.
        """
        arrays: dict[str, NDArray[Any]] = {**self.layout.views(vector)}
        arrays |= {account_of(name): account for name, account in accounts.items()}
        return tuple(
            {
                name: arrays[f"{node.parameters_of}.{name}"]
                for p in node.layer.parameters
                for name in (p.name, account_of(p.name))
                if f"{node.parameters_of}.{name}" in arrays
            }
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


def build(network: spec.Network, input_shapes: Shape | Mapping[str, Shape], *, training: bool = False) -> Network:
    """The network that a specification describes.

    Args:
        network: the specification.
        input_shapes: of one sample (without the row axis) of each input, by the names that layers call them; of the
            only one, `input`, the shape alone.
        training: refuse also what has no derivative to train with.

    Raises:
        InvalidSpec: with every rule broken: a graph that is none, shapes that do not fit, nothing to train.
    """
    if not isinstance(input_shapes, Mapping):
        input_shapes = {INPUT: tuple(input_shapes)}
    if not network.named_outputs:
        raise InvalidSpec([FieldError("network.loss", "is missing")])
    wires, errors = wire(network, tuple(input_shapes))
    known = [*_metric_problems(network), *(_derivative_problems(network) if training else ())]
    if errors:
        raise InvalidSpec([*errors, *known])
    builder = _Builder(network, input_shapes, known)
    for this in wires:
        builder.add(this)
    return builder.finish()


def check_structure(network: spec.Network, inputs: Sequence[str]) -> None:
    """Check, for training, what does not depend on the shapes of samples.

    Args:
        network: the specification.
        inputs: names of the inputs.

    Raises:
        InvalidSpec: an invalid graph, a metric that does not fit its loss, an activation without a derivative.
    """
    errors = [*wire(network, tuple(inputs))[1], *_metric_problems(network), *_derivative_problems(network)]
    if errors:
        raise InvalidSpec(errors)


def _metric_problems(network: spec.Network) -> Iterator[FieldError]:
    """Errors of metrics that do not fit the loss of their output."""
    for index, output in enumerate(network.named_outputs):
        where = f"network.outputs[{index}]" if network.outputs else "network"
        for number, metric in enumerate(output.metrics):
            if problem := metric_problem(metric, output.loss.kind):
                yield FieldError(f"{where}.metrics[{number}].{metric.kind}", problem)


def _derivative_problems(network: spec.Network) -> Iterator[FieldError]:
    """Errors of activations in the layers' settings that have no derivative to train with."""
    for index, layer in enumerate(network.layers):
        for field in type(layer.value).model_fields:
            choice = getattr(layer.value, field)
            if isinstance(choice, functions.Activation) and not ACTIVATIONS[choice.kind].trains:
                text = f"{choice.kind} has derivative 0 wherever it has one: nothing before it would learn. "
                mend = "Train with sigmoid; it is for inference only"
                yield FieldError(f"{path(index, layer)}.{field}", text + mend)


class _Builder:
    """Layers made one after the other; a shape that does not fit is noted and replaced, to find what else is wrong."""

    def __init__(self, network: spec.Network, input_shapes: Mapping[str, Shape], errors: Iterable[FieldError]) -> None:
        self._network, self._input_shapes = network, input_shapes
        self._inputs = tuple(input_shapes)
        self._nodes: list[Node] = []
        self._places: dict[int, int] = {}  # from the list to the order of nodes
        self._owners: dict[int, int] = {}  # from the list to the first node with the parameters
        self._errors = list(errors)

    def add(self, this: Wire) -> None:
        sources = tuple(source if is_input(source) else self._places[source] for source in this.sources)
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
        if not getattr(settings, "trainable", True):
            layer.parameters = tuple(replace(p, momentum=FROZEN) for p in layer.parameters)
        if layer.index_limit is not None and not all(map(self._out_of_the_data, sources)):
            text = f"{this.name} takes whole numbers out of the data, not what other layers compute"
            self._errors.append(FieldError(f"{where}.inputs", text))
        self._places[this.index] = place = len(self._nodes)
        owner = self._owners.setdefault(this.owner[0], place)
        if owner != place:
            self._check_shared(where, layer, self._nodes[owner].layer)
        self._nodes.append(Node(layer, sources, owner, this.owner[1]))

    def _check_shared(self, where: str, layer: Layer, owner: Layer) -> None:
        if [(p.name, p.shape) for p in layer.parameters] != [(p.name, p.shape) for p in owner.parameters]:
            text = f"{owner.name} takes samples of shape {shape_text(owner.input_shape)}"
            self._errors.append(FieldError(where, f"{text}, {layer.name} is given {shape_text(layer.input_shape)}"))

    def _out_of_the_data(self, source: int) -> bool:
        """True if a layer only hands on values of the samples, in whatever shape."""
        if is_input(source):
            return True
        node = self._nodes[source]
        return node.layer.rearranges and all(map(self._out_of_the_data, node.sources))

    def _shape(self, source: int) -> Shape:
        if is_input(source):
            return self._input_shapes[self._inputs[input_number(source)]]
        return self._nodes[source].layer.output_shape

    def _given(self, source: int) -> str:
        who = self._nodes[source].layer.name if not is_input(source) else "the data"
        if is_input(source) and self._inputs != (INPUT,):
            who = f"the input {self._inputs[input_number(source)]}"
        return f"{who} gives samples of shape {shape_text(self._shape(source))}"

    def _output(self, choice: spec.Output, where: str, prefix: str) -> Output:
        place = next(place for place, node in enumerate(self._nodes) if node.layer.name == choice.layer)
        shape = self._nodes[place].layer.output_shape
        loss, kind, settings = loss_class(choice.loss), choice.loss.kind, choice.loss.value
        if problem := loss.shape_problem(shape):
            self._errors.append(FieldError(f"{where}.loss", f"{self._given(place)}, {kind} {problem}"))
        elif problem := loss.weight_problem(settings, shape):
            self._errors.append(FieldError(f"{where}.loss.{kind}.class_weight", problem))
        metrics = counted(choice.metrics, kind, prod(shape), prefix)
        return Output(choice.layer, place, shape, choice.label, loss, settings, choice.weight, metrics, prefix)

    def _outputs(self) -> tuple[Output, ...]:
        network = self._network
        if not network.outputs:
            return tuple(self._output(choice, "network", "") for choice in network.named_outputs)
        named = enumerate(network.outputs)
        return tuple(self._output(choice, f"network.outputs[{n}]", f"{choice.layer}_") for n, choice in named)

    def finish(self) -> Network:
        layers, errors, outputs = [node.layer for node in self._nodes], self._errors, self._outputs()
        if not any(layer.parameters for layer in layers):
            errors.append(FieldError("network.layers", "no layer has parameters, nothing to train: add `dense`"))
        elif all(p.momentum is not None for layer in layers for p in layer.parameters):
            text = "nothing to train: all parameters are frozen by `trainable: false`, or running statistics"
            errors.append(FieldError("network.layers", text))
        owners = [node.layer for place, node in enumerate(self._nodes) if node.owner == place]
        count = sum(prod(p.shape) for layer in owners for p in layer.parameters)
        if count > MAXIMUM_PARAMETERS:
            message = f"{count:,} parameters are more than the {MAXIMUM_PARAMETERS:,} that a network may have"
            errors.append(FieldError("network.layers", message))
        if errors:
            raise InvalidSpec(errors)
        return Network(self._network, self._input_shapes, self._nodes, outputs)
