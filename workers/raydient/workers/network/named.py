"""Arrays by name where there are several, and without where there is one: the plain case stays plain."""

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
