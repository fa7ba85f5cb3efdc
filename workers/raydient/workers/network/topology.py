"""Resolves the names in a specification and sorts its layers topologically."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise

from raydient.spec import network as spec
from raydient.spec.errors import FieldError
from raydient.spec.layers import INPUT

from .ends import input_place, is_input
from .layers import LAYERS


@dataclass(frozen=True, slots=True)
class ResolvedLayer:
    """A layer of a specification whose references are resolved. Indices are those of the specification's list.

    Attributes:
        index: index of the layer.
        name: name of the layer.
        sources: indices of the layers whose outputs it reads, or inputs (`ends.is_input`).
        choice: its specification; for a shared layer that of its owner.
        owner: index and name of the layer that owns its parameters: the layer itself, unless it is shared.
    """

    index: int
    name: str
    sources: tuple[int, ...]
    choice: spec.Layer
    owner: tuple[int, str]


def path(index: int, choice: spec.Layer) -> str:
    """Path of a layer in a specification."""
    return f"network.layers[{index}].{choice.kind}"


def resolve(network: spec.Network, inputs: Sequence[str]) -> tuple[list[ResolvedLayer], list[FieldError]]:
    """Sort the layers so that each comes after its sources, in the order of the list where that is possible.

    Args:
        network: the specification.
        inputs: names of the inputs.

    Returns:
        The sorted layers and all errors. The list of layers is empty if a name is invalid.
    """
    layers = network.layers
    names = spec.layer_names(layers)
    errors = _names_taken(layers, names, inputs)
    places = {
        **{name: input_place(k) for k, name in enumerate(inputs)},
        **{name: index for index, name in enumerate(names)},
    }
    resolved = []
    for index, (choice, name) in enumerate(zip(layers, names, strict=True)):
        where, names_of_sources = path(index, choice), choice.value.inputs
        for source in names_of_sources:
            if source not in places:
                errors.append(FieldError(f"{where}.inputs", _unknown(source, places)))
        if index == 0 and not names_of_sources and len(inputs) > 1:
            message = f"is missing: name the inputs that the first layer reads, of {', '.join(inputs)}"
            errors.append(FieldError(f"{where}.inputs", message))
        sources = tuple(places[source] for source in names_of_sources if source in places) or (index - 1,)
        resolved.append(ResolvedLayer(index, name, sources, choice, (index, name)))
    errors += _resolve_shared(resolved, places)
    for number, output in enumerate(network.outputs):
        if places.get(output.layer, -1) < 0:
            errors.append(FieldError(f"network.outputs[{number}].layer", _unknown(output.layer, places)))
    if errors:
        return [], errors
    for layer in resolved:
        errors += _number_of_inputs(layer)
    order, stuck = _topological_order(resolved)
    errors += [FieldError(f"{path(w.index, layers[w.index])}.inputs", _cycle(stuck, resolved)) for w in stuck[:1]]
    outputs = {places[output.layer] for output in network.named_outputs}
    return order, [*errors, *_unused(network, resolved, tuple(inputs), outputs)]


def _names_taken(layers: Sequence[spec.Layer], names: Sequence[str], inputs: Sequence[str]) -> list[FieldError]:
    return [
        FieldError(f"{path(index, choice)}.name", f'"{name}" is an input: give the layer another name')
        for index, (choice, name) in enumerate(zip(layers, names, strict=True))
        if name in inputs
    ]


def _unused(
    network: spec.Network, resolved: Sequence[ResolvedLayer], inputs: tuple[str, ...], outputs: set[int]
) -> Iterator[FieldError]:
    """Yield the errors of layers whose output is not used, and of inputs that no layer reads."""
    used = {source for w in resolved for source in w.sources} | outputs
    end = "an output of the network" if network.outputs else "the last layer"
    for w in resolved:
        if w.index not in used:
            message = f"no layer reads the output of {w.name}, and it is not {end}: add it to the `inputs` of a layer"
            yield FieldError(path(w.index, network.layers[w.index]), message)
    for number, name in enumerate(inputs):
        if input_place(number) in used:
            continue
        if inputs == (INPUT,):
            yield FieldError("network.layers", f"no layer reads the samples: add `{INPUT}` to the `inputs` of a layer")
        else:
            message = "no layer reads this input: add it to the `inputs` of a layer, or leave it out"
            yield FieldError(f"dataset.inputs.{name}", message)


def _unknown(name: str, places: dict[str, int]) -> str:
    close = get_close_matches(name, places, 1)
    if close:
        return f'"{name}" is not a layer; did you mean {close[0]}?'
    inputs = [known for known, place in places.items() if is_input(place)]
    rest = f"the samples are `{INPUT}`" if inputs == [INPUT] else f"the inputs are {', '.join(inputs)}"
    return f'"{name}" is not a layer; {rest}'


def _resolve_shared(resolved: list[ResolvedLayer], places: dict[str, int]) -> list[FieldError]:
    errors = []
    for i, layer in enumerate(resolved):
        if layer.choice.kind != "shared":
            continue
        where, name = f"{path(i, layer.choice)}.layer", layer.choice.value.layer
        owner = places.get(name)
        if owner is None:
            errors.append(FieldError(where, _unknown(name, places)))
        elif is_input(owner) or owner == i or resolved[owner].choice.kind == "shared":
            errors.append(FieldError(where, f"{name} has no parameters of its own to share"))
        else:
            resolved[i] = ResolvedLayer(i, layer.name, layer.sources, resolved[owner].choice, (owner, name))
    return errors


def _number_of_inputs(layer: ResolvedLayer) -> list[FieldError]:
    least, most = LAYERS[layer.choice.kind].inputs
    count = len(layer.sources)
    if least <= count and (most is None or count <= most):
        return []
    wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
    text = f"{layer.name} takes {wanted} input{'s' * (wanted != '1')}, but has {count}: name them in `inputs`"
    return [FieldError(f"{path(layer.index, layer.choice)}.inputs", text)]


def _topological_order(resolved: Sequence[ResolvedLayer]) -> tuple[list[ResolvedLayer], list[ResolvedLayer]]:
    """Sort the layers topologically. Return the sorted layers, and those on cycles or after them."""
    done: set[int] = set()
    order, waiting = [], list(resolved)
    while ready := next((w for w in waiting if done.issuperset(s for s in w.sources if not is_input(s))), None):
        order.append(ready)
        done.add(ready.index)
        waiting.remove(ready)
    return order, waiting


def _cycle(stuck: Sequence[ResolvedLayer], resolved: Sequence[ResolvedLayer]) -> str:
    """Describe the cycle that contains `stuck[0]`, or that it reads from."""
    seen, at, unsorted = list[int](), stuck[0].index, {layer.index for layer in stuck}
    while at not in seen:
        seen.append(at)
        at = next(source for source in resolved[at].sources if source in unsorted)
    names = [resolved[i].name for i in (*seen[seen.index(at) :], at)]
    return f"the layers form a cycle: {', '.join(f'{a} reads {b}' for a, b in pairwise(names))}"
