"""Which layer takes what from which: the names in a specification resolved, and the layers put in order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from raydient.spec import network as spec
from raydient.spec.errors import FieldError
from raydient.spec.layers import INPUT

from .layers import LAYERS


def is_input(source: int) -> bool:
    """True if a source is an input of the network, numbered -1, -2, ..., and no layer, numbered from 0."""
    return source < 0


def input_number(source: int) -> int:
    """Which of the inputs, from 0."""
    return -1 - source


def input_place(number: int) -> int:
    """What stands among sources for an input, counted from 0."""
    return -1 - number


@dataclass(frozen=True, slots=True)
class Wire:
    """A layer of a specification with its place in the graph.

    Attributes:
        index: its place in the list.
        sources: places of the layers that it takes, or inputs (`is_input`).
        choice: its specification; for a shared layer that of the layer whose parameters it uses.
        owner: place and name of the layer whose parameters it uses: its own, unless it is shared.
    """

    index: int
    name: str
    sources: tuple[int, ...]
    choice: spec.Layer
    owner: tuple[int, str]


def path(index: int, choice: spec.Layer) -> str:
    """Where a layer stands in a specification."""
    return f"network.layers[{index}].{choice.kind}"


def wire(network: spec.Network, inputs: Sequence[str]) -> tuple[list[Wire], list[FieldError]]:
    """The layers in an order in which each comes after those that it takes; and every broken rule.

    In the order of the list where that is possible. Without rules broken only.

    Args:
        inputs: the network's inputs, by the names that layers call them.
    """
    layers = network.layers
    names = spec.layer_names(layers)
    errors = _names_taken(layers, names, inputs)
    places = {
        **{name: input_place(k) for k, name in enumerate(inputs)},
        **{name: index for index, name in enumerate(names)},
    }
    wires = []
    for index, (choice, name) in enumerate(zip(layers, names, strict=True)):
        where, wanted = path(index, choice), choice.value.inputs
        for source in wanted:
            if source not in places:
                errors.append(FieldError(f"{where}.inputs", _unknown(source, places)))
        if index == 0 and not wanted and len(inputs) > 1:
            errors.append(FieldError(f"{where}.inputs", f"which of the inputs does it take: {', '.join(inputs)}?"))
        sources = tuple(places[source] for source in wanted if source in places) or (index - 1,)
        wires.append(Wire(index, name, sources, choice, (index, name)))
    errors += _resolve_shared(wires, places)
    for number, output in enumerate(network.outputs):
        if places.get(output.layer, -1) < 0:
            errors.append(FieldError(f"network.outputs[{number}].layer", _unknown(output.layer, places)))
    if errors:
        return [], errors
    for this in wires:
        errors += _number_of_inputs(this)
    order, stuck = _in_order(wires)
    errors += [FieldError(f"{path(w.index, layers[w.index])}.inputs", _cycle(w, wires)) for w in stuck[:1]]
    outputs = {places[output.layer] for output in network.named_outputs}
    return order, [*errors, *_unused(network, wires, tuple(inputs), outputs)]


def _names_taken(layers: Sequence[spec.Layer], names: Sequence[str], inputs: Sequence[str]) -> list[FieldError]:
    return [
        FieldError(f"{path(index, choice)}.name", f'"{name}" is an input: give the layer another name')
        for index, (choice, name) in enumerate(zip(layers, names, strict=True))
        if name in inputs
    ]


def _unused(
    network: spec.Network, wires: Sequence[Wire], inputs: tuple[str, ...], outputs: set[int]
) -> Iterator[FieldError]:
    """Layers that lead nowhere, and inputs that nobody takes."""
    used = {source for w in wires for source in w.sources} | outputs
    what = "an output" if network.outputs else "the last"
    for w in wires:
        if w.index not in used:
            message = f"nothing takes what {w.name} gives, and it is not {what}: name it among the inputs of another"
            yield FieldError(path(w.index, network.layers[w.index]), message)
    for number, name in enumerate(inputs):
        if input_place(number) in used:
            continue
        if inputs == (INPUT,):
            yield FieldError("network.layers", f"no layer takes the samples: name `{INPUT}` among its inputs")
        else:
            message = "no layer takes it: name it among the inputs of one, or leave it out"
            yield FieldError(f"dataset.inputs.{name}", message)


def _unknown(name: str, places: dict[str, int]) -> str:
    close = get_close_matches(name, places, 1)
    if close:
        return f'"{name}" is no layer; did you mean {close[0]}?'
    inputs = [known for known, place in places.items() if is_input(place)]
    return f'"{name}" is no layer; ' + (
        f"the samples are `{INPUT}`" if inputs == [INPUT] else f"the inputs are {', '.join(inputs)}"
    )


def _resolve_shared(wires: list[Wire], places: dict[str, int]) -> list[FieldError]:
    errors = []
    for i, this in enumerate(wires):
        if this.choice.kind != "shared":
            continue
        where, name = f"{path(i, this.choice)}.layer", this.choice.value.layer
        owner = places.get(name)
        if owner is None:
            errors.append(FieldError(where, _unknown(name, places)))
        elif is_input(owner) or owner == i or wires[owner].choice.kind == "shared":
            errors.append(FieldError(where, f"{name} has no parameters of its own to share"))
        else:
            wires[i] = Wire(i, this.name, this.sources, wires[owner].choice, (owner, name))
    return errors


def _number_of_inputs(this: Wire) -> list[FieldError]:
    least, most = LAYERS[this.choice.kind].inputs
    count = len(this.sources)
    if least <= count and (most is None or count <= most):
        return []
    wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
    text = f"{this.name} takes {wanted} input{'s' * (wanted != '1')}, it has {count}: name them in `inputs`"
    return [FieldError(f"{path(this.index, this.choice)}.inputs", text)]


def _in_order(wires: Sequence[Wire]) -> tuple[list[Wire], list[Wire]]:
    """Sorted topologically, stable; and those that wait for each other."""
    done: set[int] = set()
    order, waiting = [], list(wires)
    while ready := next((w for w in waiting if done.issuperset(s for s in w.sources if not is_input(s))), None):
        order.append(ready)
        done.add(ready.index)
        waiting.remove(ready)
    return order, waiting


def _cycle(start: Wire, wires: Sequence[Wire]) -> str:
    """The way round, from some layer on it back to itself."""
    seen: list[int] = []
    at = start.index
    unreachable = _waiting(wires)
    while at not in seen:
        seen.append(at)
        at = next(source for source in wires[at].sources if source in unreachable)
    names = [wires[i].name for i in (*seen[seen.index(at) :], at)]
    return f"a cycle: {' takes '.join(names)}"


def _waiting(wires: Sequence[Wire]) -> set[int]:
    _, stuck = _in_order(wires)
    return {w.index for w in stuck}
