"""The wording of messages about broken rules: the value, the rule and, if it is not obvious, the remedy."""

import json
from collections.abc import Callable
from typing import Any

from .layers import NAME_PATTERN

Finding = dict[str, Any]
"""One of pydantic's error details: type, loc, msg, input, ctx."""


def phrase(finding: Finding) -> str:
    """Describe one broken rule in plain words, without the path."""
    make = _PHRASES.get(finding["type"])
    value, context = finding["input"], finding.get("ctx", {})
    return make(value, context) if make else f"{shown(value)}: {finding['msg']}"


def counted(number: int, thing: str) -> str:
    """Format a number of things: `1 worker`, `2 workers`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def shown(value: object) -> str:
    """Return a value in JSON, truncated."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _wrong_type(wanted: str) -> Callable[[object, Finding], str]:
    def make(value: object, _: Finding) -> str:
        if value is None:
            return f"nothing is given; give {wanted} or leave the key out"
        remedy = ""
        if isinstance(value, str) and "number" in wanted:
            remedy = ": write it without quotes" if _is_number(value) else ""
        elif wanted == _TEXT and not isinstance(value, dict | list):
            remedy = ": write it in quotes"
        elif wanted == _BOOLEAN and value in ("yes", "on", "no", "off"):
            remedy = f": write {'true' if value in ('yes', 'on') else 'false'}"
        return f"{shown(value)} is not {wanted}{remedy}"

    return make


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pattern(value: object, context: Finding) -> str:
    if context["pattern"] == NAME_PATTERN:
        return (
            f"{shown(value)} is no name for a layer: a lower-case letter, then at most 62 lower-case letters, digits "
            "and underscores"
        )
    return f"{shown(value)} does not match {context['pattern']}"


def _too_few(_: object, context: Finding) -> str:
    return f"at least {context['min_length']} is needed, found {context['actual_length']}"


def _text_too_short(value: object, context: Finding) -> str:
    return "must not be empty" if value == "" else f"is shorter than {context['min_length']} characters"


_TEXT, _BOOLEAN, _MAPPING, _LIST = "text", "true or false", "a mapping (key: value)", "a list"

_PHRASES: dict[str, Callable[[Any, Finding], str]] = {
    "missing": lambda _, __: "is missing",
    "int_type": _wrong_type("a whole number"),
    "float_type": _wrong_type("a number"),
    "bool_type": _wrong_type(_BOOLEAN),
    "string_type": _wrong_type(_TEXT),
    "model_type": _wrong_type(_MAPPING),
    "dict_type": _wrong_type(_MAPPING),
    "tuple_type": _wrong_type(_LIST),
    "invalid_key": lambda value, _: f"the key {shown(value)} is not text",
    "finite_number": lambda value, _: f"{shown(value)} is not finite",
    "greater_than": lambda value, context: f"{shown(value)} is too small: it must be above {context['gt']:g}",
    "greater_than_equal": lambda value, context: f"{shown(value)} is too small: it must be at least {context['ge']:g}",
    "less_than": lambda value, context: f"{shown(value)} is too large: it must be below {context['lt']:g}",
    "less_than_equal": lambda value, context: f"{shown(value)} is too large: it must be at most {context['le']}",
    "string_too_short": _text_too_short,
    "string_too_long": lambda _, context: f"is longer than {context['max_length']} characters",
    "string_pattern_mismatch": _pattern,
    "too_short": _too_few,
    "too_long": lambda _, context: f"has more than {context['max_length']} items",
    "value_error": lambda _, context: str(context["error"]),
}
