"""Checks that data and network fit each other."""

from collections.abc import Iterator

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.network import layer_names
from raydient.workers.network import Network, Shape, index_problems, is_input, shape_text
from raydient.workers.network import Output as NetworkOutput

from .profile import LabelFacts, Profile, label_key


def check_labels(profile: Profile, network: Network) -> None:
    """Check that the labels fit the network's outputs.

    Raises:
        InvalidSpec: a class index exceeds the output units, or the numbers of targets and outputs differ.
    """
    errors = []
    for output, facts in _labels(profile, network):
        if problem := _label_problem(facts, output):
            errors.append(FieldError(_units_path(network, output.place), problem))
    if errors:
        raise InvalidSpec(errors)


def check_weights(profile: Profile, network: Network) -> None:
    """Check that each part has a sample whose class has a weight above 0. The labels must fit the network.

    Raises:
        InvalidSpec: in a part every sample, or its class, has weight 0.
    """
    errors = []
    for place, (output, facts) in enumerate(_labels(profile, network)):
        class_weight = getattr(output.settings, "class_weight", ())
        for part, classes in zip(("training", "held-out"), facts.weighed, strict=False):
            if class_weight and not any(class_weight[class_] for class_ in classes):
                where = f"network.outputs[{place}]" if network.spec.outputs else "network"
                kind = network.spec.named_outputs[place].loss.kind
                message = f"every sample of the {part} part, or its class, has weight 0"
                errors.append(FieldError(f"{where}.loss.{kind}.class_weight", message))
    if errors:
        raise InvalidSpec(errors)


def check_indices(profile: Profile, network: Network) -> None:
    """Check that the samples are whole numbers within the range of every embedding.

    Raises:
        InvalidSpec: a number is not whole, below 0, or too large.
    """
    problems = [problem for extents in profile.extents for problem in index_problems(network, extents)]
    if problems:
        raise InvalidSpec(list({error.path: error for error in problems}.values()))


def _labels(profile: Profile, network: Network) -> Iterator[tuple[NetworkOutput, LabelFacts]]:
    """Yield each output of the network with the facts about its labels, if they are known."""
    outputs = {output.name: output for output in network.outputs}
    for choice in network.spec.named_outputs:
        if (key := label_key(choice)) in profile.labels:
            yield outputs[choice.layer], profile.labels[key]


def _label_problem(labels: LabelFacts, output: NetworkOutput) -> str | None:
    units = output.shape[-1]
    if labels.shape != output.label_shape:
        return _shape_problem(labels.shape, output)
    if labels.largest >= units:
        largest, name = labels.largest, f" ({labels.largest_name})" if labels.largest_name else ""
        text = f"{units} outputs, but the largest class in the data is {largest}{name}: {largest + 1} are needed"
        return text + labels.hint
    return None


def _shape_problem(labels: Shape, output: NetworkOutput) -> str:
    """Return the reason why labels of this shape do not fit an output."""
    if len(labels) == len(output.shape) == len(output.label_shape) == 1:
        (width,), (units,) = labels, output.shape
        return f"{units} outputs, but {width} label value{'s' * (width > 1)} a row: {width} are needed"
    needed = f"labels of shape {shape_text(output.label_shape)}" if output.label_shape else "one label a row"
    there = f"they have shape {shape_text(labels)}" if labels else "there is one label a row"
    text = f"outputs of shape {shape_text(output.shape)} need {needed}, but {there}"
    if not labels:
        return f"{text}: add `flatten` or a global pooling before the last `dense`"
    return text if output.label_shape else f"{text}: outputs at each position need no `flatten` before the last `dense`"


def _units_path(network: Network, place: int) -> str:
    """Path of the setting for the number of an output's units: that of the last dense layer before it."""
    while network.layers[place].kind != "dense" and not is_input(network.nodes[place].sources[0]):
        place = network.nodes[place].sources[0]
    names = layer_names(network.spec.layers)
    index = names.index(network.layers[place].name)
    return f"network.layers[{index}].{network.spec.layers[index].kind}.units"
