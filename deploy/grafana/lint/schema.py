"""Whether a dashboard is what Grafana's own schema says, by the typed classes that the SDK generates from it.

The classes' `from_json` passes over what it does not know and does not look at types. So a dashboard is read and
written again, which shows unknown and missing fields, and every value is compared with its annotation. The JSON Schema
that the SDK's repository has beside them is of no use: it takes `"options": "name"` of an override for a mistake.
"""

import enum
import types
import typing
from collections.abc import Iterator
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from .problems import Json

DEFAULTED = frozenset({"placement"})
"""May be missing, although the SDK always writes it: it would put links into a menu."""


def departures(document: Json) -> Iterator[str]:
    """Where a dashboard's JSON is not of the schema: path and reason."""
    register_default_plugins()
    try:
        model = Dashboard.from_json(document)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        yield f"cannot be read: {error!r}"
        return
    written = _plain(model)
    yield from _differences({key: value for key, value in document.items() if value is not None}, written, "")
    yield from _wrong_types(model, "")


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else _plain(JSONEncoder().default(value))


def _differences(given: Any, known: Any, path: str) -> Iterator[str]:
    """Fields that only one of the two has."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key in sorted(given.keys() | known.keys()):
            if key not in known:
                yield f"{path}/{key} is unknown"
            elif key not in given and key not in DEFAULTED:
                yield f"{path}/{key} is missing"
            elif key in given:
                yield from _differences(given[key], known[key], f"{path}/{key}")
    elif isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        for index, (one, other) in enumerate(zip(given, known, strict=True)):
            yield from _differences(one, other, f"{path}/{index}")
    elif given != known:
        yield f"{path} is read as something else"


def _wrong_types(model: object, path: str) -> Iterator[str]:
    """Attributes that are not what the class of the model annotates."""
    for name, hint in typing.get_type_hints(type(model)).items():
        yield from _wrong(getattr(model, name), hint, f"{path}/{name}")


def _wrong(value: Any, hint: Any, path: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        tried = [list(_wrong(value, argument, path)) for argument in arguments]
        yield from min(tried, key=lambda found: (len(found), found == [f"{path}: {value!r} is no NoneType"]))
    elif origin is list and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _wrong(item, arguments[0], f"{path}/{index}")
    elif origin is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from _wrong(item, arguments[1], f"{path}/{key}")
    elif hasattr(hint, "from_json") and isinstance(value, dict):  # which some lists of models are left as
        yield from _wrong_types(hint.from_json(value), path)
    elif not _fits(value, hint):
        yield f"{path}: {value!r} is no {getattr(hint, '__name__', hint)}"
    elif type(value).__module__.startswith("grafana_foundation_sdk.models") and not isinstance(value, enum.Enum):
        yield from _wrong_types(value, path)


def _fits(value: object, hint: Any) -> bool:
    if hint in (Any, object):
        return True
    if typing.get_origin(hint) is not None:
        return typing.get_origin(hint) is typing.Literal and value in typing.get_args(hint)
    if issubclass(hint, enum.Enum):
        return value in {member.value for member in hint}
    if hint in (int, float):
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint)
