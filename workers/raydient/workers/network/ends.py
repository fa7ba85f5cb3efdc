"""The ends of a network: inputs as sources of layers, and values by the name of an input or an output.

A network with one input or one output takes and returns values without a name.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


def only(values: Mapping[str, Value]) -> Value:
    """The value where there is one.

    Raises:
        ValueError: there are several, and none can be meant without its name.
    """
    if len(values) != 1:
        raise ValueError(f"there are several, {', '.join(values)}: they have to be named")
    return next(iter(values.values()))


def by_name(given: Value | Mapping[str, Value], names: Iterable[str]) -> Mapping[str, Value]:
    """What is given by name as it is, and a value alone under the only name.

    Raises:
        ValueError: there is another number of names, or other names are given.
    """
    names = tuple(names)
    if not isinstance(given, Mapping):
        return {only({name: name for name in names}): given}
    if set(given) != set(names):
        raise ValueError(f"needed are {', '.join(names)}, given {', '.join(given)}")
    return {name: given[name] for name in names}


def is_input(source: int) -> bool:
    """True if a source is an input of the network, numbered -1, -2, ..., and no layer, numbered from 0."""
    return source < 0


def input_number(source: int) -> int:
    """Which of the inputs, from 0."""
    return -1 - source


def input_place(number: int) -> int:
    """What stands among sources for an input, counted from 0."""
    return -1 - number
