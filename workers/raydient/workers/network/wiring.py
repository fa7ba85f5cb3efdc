"""Which layer takes what from which: the names in a specification resolved, and the layers put in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from raydient.spec import network as spec
from raydient.spec.errors import FieldError
from raydient.spec.layers import INPUT

from .layers import LAYERS

SAMPLES = -1
"""Stands for the samples among the sources of a layer."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A layer of a specification with its place in the graph.

    Attributes:
        index: its place in the list.
        sources: places of the layers that it takes, or SAMPLES.
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


def wire(layers: Sequence[spec.Layer]) -> tuple[list[Wire], list[FieldError]]:
    """The layers in an order in which each comes after those that it takes, the output last; and every broken rule.

    In the order of the list where that is possible. Without rules broken only.
    """
    names = spec.layer_names(layers)
    places = {INPUT: SAMPLES, **{name: index for index, name in enumerate(names)}}
    errors: list[FieldError] = []
    wires = []
    for index, (choice, name) in enumerate(zip(layers, names, strict=True)):
        where, wanted = path(index, choice), choice.value.inputs
        for source in wanted:
            if source not in places:
                errors.append(FieldError(f"{where}.inputs", _unknown(source, places)))
        sources = tuple(places[source] for source in wanted if source in places) or (index - 1,)
        wires.append(Wire(index, name, sources, choice, (index, name)))
    errors += _resolve_shared(wires, places)
    if errors:
        return [], errors
    for this in wires:
        errors += _number_of_inputs(this)
    order, stuck = _in_order(wires)
    errors += [FieldError(f"{path(w.index, layers[w.index])}.inputs", _cycle(w, wires)) for w in stuck[:1]]
    used = {source for w in wires for source in w.sources}
    for w in wires[:-1]:
        if w.index not in used:
            message = f"nothing takes what {w.name} gives, and it is not the last: name it among the inputs of another"
            errors.append(FieldError(path(w.index, layers[w.index]), message))
    if SAMPLES not in used:
        errors.append(FieldError("network.layers", f"no layer takes the samples: name `{INPUT}` among its inputs"))
    return order, errors


def _unknown(name: str, places: dict[str, int]) -> str:
    close = get_close_matches(name, places, 1)
    return f'"{name}" is no layer' + (f"; did you mean {close[0]}?" if close else f"; the samples are `{INPUT}`")


def _resolve_shared(wires: list[Wire], places: dict[str, int]) -> list[FieldError]:
    errors = []
    for i, this in enumerate(wires):
        if this.choice.kind != "shared":
            continue
        where, name = f"{path(i, this.choice)}.layer", this.choice.value.layer
        owner = places.get(name)
        if owner is None:
            errors.append(FieldError(where, _unknown(name, places)))
        elif owner in (SAMPLES, i) or wires[owner].choice.kind == "shared":
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
    done, order, waiting = {SAMPLES}, [], list(wires)
    while ready := next((w for w in waiting if done.issuperset(w.sources)), None):
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
