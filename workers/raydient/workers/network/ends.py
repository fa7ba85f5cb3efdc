"""The ends of a network: inputs as sources of layers, and values by the name of an input or an output.

A network with one input or one output takes and returns values without a name.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


def only(values: Mapping[str, Value]) -> Value:
    """The value, if there is exactly one.

    Raises:
        ValueError: there are several values, which need names.
    """
    if len(values) != 1:
        raise ValueError(f"there are several, {', '.join(values)}: name each of them")
    return next(iter(values.values()))


def by_name(values: Value | Mapping[str, Value], names: Iterable[str]) -> Mapping[str, Value]:
    """The values by name, in the order of `names`; a value without a name is returned under the only name.

    Raises:
        ValueError: the names of the values differ from `names`.
    """
    names = tuple(names)
    if not isinstance(values, Mapping):
        return {only({name: name for name in names}): values}
    if set(values) != set(names):
        raise ValueError(f"the names must be {', '.join(names)}, not {', '.join(values)}")
    return {name: values[name] for name in names}


def is_input(source: int) -> bool:
    """True if a source is an input of the network (-1, -2, ...) rather than a layer (0, 1, ...)."""
    return source < 0


def input_number(source: int) -> int:
    """Index of an input among the inputs, from its number as a source."""
    return -1 - source


def input_place(number: int) -> int:
    """Number of an input as a source, from its index among the inputs."""
    return -1 - number
