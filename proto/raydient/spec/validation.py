"""Converts plain data to a JobSpec, and pydantic's findings to errors in plain words: value, rule, remedy."""

import difflib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from .base import Model, OneOf
from .document import Location, path_of
from .errors import FieldError, InvalidSpec
from .job import JobSpec
from .links import broken_links
from .metrics import Metric, setting_of
from .phrases import Finding, phrase, shown
from .sources import as_written

_KEY = "[key]"
"""Part that pydantic appends to the location of an invalid key."""


def validate_job(data: object) -> JobSpec:
    """The job that plain data describes: the content of a job file, or the JSON form of a message.

    Raises:
        InvalidSpec: carries every broken rule.
    """
    try:
        job = JobSpec.model_validate(data)
    except ValidationError as error:
        raise InvalidSpec(_translate(error, data)) from None
    if errors := list(broken_links(job)):
        raise InvalidSpec(errors)
    return job


def valid_parts(data: object) -> dict[str, Any]:
    """The sections of a job in plain data that are valid by themselves, by name."""
    parts: dict[str, Any] = {}
    for name, value in data.items() if isinstance(data, dict) else ():
        models = _models_in(JobSpec.model_fields[name].annotation) if name in JobSpec.model_fields else []
        with suppress(ValidationError):
            for model in models:
                parts[name] = model.model_validate(value)
    return parts


def _translate(error: ValidationError, data: object) -> Iterable[FieldError]:
    findings: list[Finding] = [dict(e) for e in error.errors(include_url=False)]
    unknown = {f["loc"]: _meant(f["loc"], data) for f in findings if f["type"] == "extra_forbidden"}
    meant = set(unknown.values())
    for finding in findings:
        location: Location = as_written(finding["loc"], data)
        if location in unknown:
            yield _unknown_key(location, unknown[location])
        # Pydantic also reports a list with invalid items as too short, and a misspelt key as missing.
        elif finding["type"] == "model_type" and issubclass(model := _model_at(location), OneOf):
            names = f"nor one of the names {', '.join(model.model_fields)}"
            yield FieldError(path_of(location), f"{phrase(finding)}, {names}")
        elif finding["type"] == "too_short" and any(_is_within(f["loc"], location) for f in findings):
            continue
        elif finding["type"] != "missing" or location not in meant:
            yield FieldError(path_of([step for step in location if step != _KEY]), phrase(finding))


def _is_within(inner: Location, outer: Location) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _unknown_key(location: Location, meant: Location | None) -> FieldError:
    *parent, key = location
    model = _model_at(parent)
    if meant is not None and len(meant) > len(location):
        return FieldError(path_of(location), f"belongs to {meant[-2]}: indent it further")
    if not model.model_fields:
        return FieldError(path_of(location), f"unknown key; {parent[-1]} has no settings")
    if model is Metric and (setting := setting_of(str(key))):
        return FieldError(path_of(parent), f"there is no {shown(key)}; values of this name have the setting {setting}")
    remedy = f"did you mean {meant[-1]}?" if meant else f"known here: {', '.join(model.field_names())}"
    if issubclass(model, OneOf):
        return FieldError(path_of(parent), f"there is no {shown(key)}; {remedy}")
    return FieldError(path_of(location), f"unknown key; {remedy}")


def _meant(location: Location, data: Any) -> Location | None:
    """The probable meaning of an unknown key: a setting of the empty option beside it, or a similar name."""
    *parent, key = location
    model = _model_at(parent)
    for step in parent:
        data = data[step]
    if issubclass(model, OneOf) and isinstance(data, dict):
        empty = [option for option in model.model_fields if option in data and not data[option]]
        for option in empty:
            if key in _models_in(model.model_fields[option].annotation)[0].model_fields:
                return (*parent, option, key)
    close = _names_like(str(key), model.field_names())
    return (*parent, close[0]) if close else None


def _names_like(name: str, known: Sequence[str]) -> list[str]:
    """Return the name that it probably misspells, or else the names that it is a part of."""
    return difflib.get_close_matches(name, known, n=1) or [each for each in known if len(name) > 2 and name in each]


def _model_at(location: Sequence[str | int]) -> type[Model]:
    model: type[Model] = JobSpec
    by_name = False  # the next step is a name that the user chose
    for step in location:
        if isinstance(step, str) and not by_name:
            annotation = model.model_fields[step].annotation
            model, by_name = _models_in(annotation)[0], get_origin(annotation) is dict
        else:
            by_name = False
    return model


def _models_in(annotation: Any) -> list[type[Model]]:
    """The models inside `Model`, `Model | None`, `tuple[Model, ...]` or `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
