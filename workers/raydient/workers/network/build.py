"""Builds a network from its specification: resolves names, checks shapes and parameters, allocates nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType

from raydient.spec import functions
from raydient.spec import network as spec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT
from raydient.steps.layout import Frozen, Learned

from .activations import ACTIVATIONS
from .ends import input_number, is_input
from .graph import Network, Node, Output
from .layers import LAYERS, Layer, Shape, shape_text
from .losses import loss_class
from .masks import passed, taken
from .metrics import metric_problem, metric_shape_problem, output_metrics
from .standardization import Scaling
from .topology import ResolvedLayer, path, resolve

MAXIMUM_PARAMETERS = 2**31 - 1
"""8 GiB of weights. A larger number is more likely a typing error than a network to train."""


def build(
    network: spec.Network,
    input_shapes: Shape | Mapping[str, Shape],
    *,
    training: bool = False,
    scalings: Mapping[str, Scaling] = MappingProxyType({}),
) -> Network:
    """Build the network that a specification describes.

    Args:
        network: the specification.
        input_shapes: shape of one sample of each input, without the row axis, by name; a shape alone for the single
            input `input`.
        training: also refuse activations whose derivative is 0 everywhere.
        scalings: standardizations of labels, by output.

    Raises:
        InvalidSpec: lists all errors, such as an invalid graph, shapes that do not fit, or no parameters to train.
    """
    if not isinstance(input_shapes, Mapping):
        input_shapes = {INPUT: tuple(input_shapes)}
    if not network.named_outputs:
        raise InvalidSpec([FieldError("network.loss", "is missing")])
    layers, errors = resolve(network, tuple(input_shapes))
    known = [*_metric_problems(network), *(_derivative_problems(network) if training else ())]
    if errors:
        raise InvalidSpec([*errors, *known])
    builder = _Builder(network, input_shapes, known, scalings)
    for layer in layers:
        builder.add(layer)
    return builder.finish()


def check_structure(network: spec.Network, inputs: Sequence[str]) -> None:
    """Check a specification for training, as far as it does not depend on the shapes of samples.

    Args:
        network: the specification.
        inputs: names of the inputs.

    Raises:
        InvalidSpec: the graph is invalid, a metric does not fit its loss, or the derivative of an activation is 0
            everywhere.
    """
    errors = [*resolve(network, tuple(inputs))[1], *_metric_problems(network), *_derivative_problems(network)]
    if errors:
        raise InvalidSpec(errors)


def _metric_problems(network: spec.Network) -> Iterator[FieldError]:
    """Yield errors of metrics that do not fit the loss of their output."""
    for index, output in enumerate(network.named_outputs):
        where = f"network.outputs[{index}]" if network.outputs else "network"
        for number, metric in enumerate(output.metrics):
            if problem := metric_problem(metric, output.loss.kind):
                yield FieldError(f"{where}.metrics[{number}].{metric.kind}", problem)


def _derivative_problems(network: spec.Network) -> Iterator[FieldError]:
    """Yield errors of activations whose derivative is 0 everywhere."""
    for index, layer in enumerate(network.layers):
        for field in type(layer.value).model_fields:
            choice = getattr(layer.value, field)
            if isinstance(choice, functions.Activation) and not ACTIVATIONS[choice.kind].trains:
                text = f"the derivative of {choice.kind} is 0, so that no layer before it would learn"
                mend = f"train with sigmoid, because {choice.kind} is for inference only"
                yield FieldError(f"{path(index, layer)}.{field}", f"{text}: {mend}")


class _Builder:
    """Builds a network layer by layer. It collects errors: after a shape that does not fit, it goes on with another."""

    def __init__(
        self,
        network: spec.Network,
        input_shapes: Mapping[str, Shape],
        errors: Iterable[FieldError],
        scalings: Mapping[str, Scaling],
    ) -> None:
        self._network, self._input_shapes, self._scalings = network, input_shapes, scalings
        self._inputs = tuple(input_shapes)
        self._nodes: list[Node] = []
        self._places: dict[int, int] = {}  # by index in the list: place among the nodes
        self._owners: dict[int, int] = {}  # by index in the list: first node with the parameters
        self._errors = list(errors)
        self._masks: dict[int, int] = {}  # by source: the mask of its places, a source too

    def add(self, resolved: ResolvedLayer) -> None:
        sources = tuple(source if is_input(source) else self._places[source] for source in resolved.sources)
        shapes = [self._shape(source) for source in sources]
        kind, settings = LAYERS[resolved.choice.kind], resolved.choice.value
        where = path(resolved.index, self._network.layers[resolved.index])
        if (mask := taken(kind, sources, shapes, self._masks)) is not None:
            sources, shapes = (*sources, mask), [*shapes, self._shape(mask)]
        if problem := kind.shape_problem(shapes, settings):
            sources_text = " and ".join(dict.fromkeys(map(self._source_text, sources)))
            self._errors.append(FieldError(where, f"{sources_text}, but {resolved.name} {problem}"))
            shapes = [(prod(shapes[0]),)] * len(shapes)
            if kind.shape_problem(shapes, settings):
                raise InvalidSpec(self._errors)  # shapes of later layers are unknown
        layer = kind(resolved.name, shapes, settings)
        if not getattr(settings, "trainable", True):
            layer.parameters = tuple(replace(p, kind=Frozen()) for p in layer.parameters)
        if layer.index_limit is not None and not all(map(self._is_data, sources)):
            text = f"{resolved.name} looks up whole numbers of the data, not the outputs of other layers"
            self._errors.append(FieldError(f"{where}.inputs", text))
        self._places[resolved.index] = place = len(self._nodes)
        owner = self._owners.setdefault(resolved.owner[0], place)
        if owner != place:
            self._check_shared(where, layer, self._nodes[owner].layer)
        self._nodes.append(Node(layer, sources, owner, resolved.owner[1]))
        if (mask := passed(layer, sources, self._masks)) is not None:
            self._masks[place] = mask

    def _check_shared(self, where: str, layer: Layer, owner: Layer) -> None:
        if [(p.name, p.shape) for p in layer.parameters] != [(p.name, p.shape) for p in owner.parameters]:
            owned, own = shape_text(owner.input_shape), shape_text(layer.input_shape)
            text = f"{owner.name} has inputs of shape {owned}, but {layer.name}, which shares its parameters, of {own}"
            self._errors.append(FieldError(where, text))

    def _is_data(self, source: int) -> bool:
        """True if the values of a source are values of the samples, possibly rearranged."""
        if is_input(source):
            return True
        node = self._nodes[source]
        return node.layer.rearranges and all(map(self._is_data, node.sources))

    def _shape(self, source: int) -> Shape:
        if is_input(source):
            return self._input_shapes[self._inputs[input_number(source)]]
        return self._nodes[source].layer.output_shape

    def _source_text(self, source: int) -> str:
        if not is_input(source):
            name = f"the output of {self._nodes[source].layer.name}"
        elif self._inputs == (INPUT,):
            name = "the input"
        else:
            name = f"the input {self._inputs[input_number(source)]}"
        return f"{name} has shape {shape_text(self._shape(source))}"

    def _output(self, choice: spec.Output, where: str, prefix: str) -> Output:
        place = next(place for place, node in enumerate(self._nodes) if node.layer.name == choice.layer)
        shape = self._nodes[place].layer.output_shape
        loss, kind, settings = loss_class(choice.loss), choice.loss.kind, choice.loss.value
        if problem := loss.shape_problem(shape):
            self._errors.append(FieldError(f"{where}.loss", f"{self._source_text(place)}, but {kind} {problem}"))
        elif problem := loss.weight_problem(settings, shape):
            self._errors.append(FieldError(f"{where}.loss.{kind}.class_weight", problem))
        for number, metric in enumerate(choice.metrics):
            if not metric_problem(metric, kind) and (problem := metric_shape_problem(metric, kind, settings, shape)):
                self._errors.append(FieldError(f"{where}.metrics[{number}].{metric.kind}", problem))
        metrics = output_metrics(choice.metrics, kind, shape[-1], prefix)
        for name, count in Counter(metric.name for metric in metrics).items():
            if count > 1:
                self._errors.append(FieldError(f"{where}.metrics", f"{name} is there twice"))
        scaling = self._scalings.get(choice.layer)
        return Output(choice.layer, place, shape, choice.label, loss, settings, choice.weight, metrics, prefix, scaling)

    def _outputs(self) -> tuple[Output, ...]:
        network = self._network
        if not network.outputs:
            return tuple(self._output(choice, "network", "") for choice in network.named_outputs)
        named = enumerate(network.outputs)
        return tuple(self._output(choice, f"network.outputs[{n}]", f"{choice.layer}_") for n, choice in named)

    def finish(self) -> Network:
        layers, errors, outputs = [node.layer for node in self._nodes], self._errors, self._outputs()
        if not any(layer.parameters for layer in layers):
            errors.append(
                FieldError("network.layers", "there is nothing to train, because no layer has parameters: add `dense`")
            )
        elif not any(isinstance(p.kind, Learned) for layer in layers for p in layer.parameters):
            text = (
                "there is nothing to train: every parameter is frozen by `trainable: false` or is a running statistic"
            )
            errors.append(FieldError("network.layers", text))
        owners = [node.layer for place, node in enumerate(self._nodes) if node.owner == place]
        count = sum(prod(p.shape) for layer in owners for p in layer.parameters)
        if count > MAXIMUM_PARAMETERS:
            message = f"{count:,} parameters are more than the {MAXIMUM_PARAMETERS:,} that a network may have"
            errors.append(FieldError("network.layers", message))
        if errors:
            raise InvalidSpec(errors)
        return Network(self._network, self._input_shapes, self._nodes, outputs)
