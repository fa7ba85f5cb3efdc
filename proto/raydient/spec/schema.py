"""The JSON Schema of a job file, for editors: `python -m raydient.spec.schema` prints it."""

import json
from collections.abc import Iterator
from typing import Any

from .base import Model, OneOf
from .job import JobSpec

Schema = dict[str, Any]


def job_schema() -> Schema:
    """The schema (draft 2020-12) of a job file, bare names for options without settings included."""
    schema: Schema = JobSpec.model_json_schema()
    for part in _parts(schema):
        _leave_out_null(part)
    models = {model.__name__: model for model in _models(Model)}
    for name in schema["$defs"]:
        if issubclass(models[name], OneOf):
            schema["$defs"][name] = _one_of(schema["$defs"], name)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "raydient training job"}


def job_schema_text() -> str:
    """The schema as text, the content of `job.schema.json`."""
    return json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n"


def _models(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    for child in model.__subclasses__():
        yield from _models(child)


def _parts(value: Any) -> Iterator[Schema]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(child)


def _leave_out_null(part: Schema) -> None:
    """Remove defaults of None, which stand for absence."""
    match part:
        case {"default": None}:
            del part["default"]
        case {"default": dict() as default}:
            part["default"] = {key: value for key, value in default.items() if value is not None}


def _one_of(definitions: Schema, name: str) -> Schema:
    """The schema of a `OneOf`: exactly one option, or its bare name if it needs no settings."""
    definition = definitions[name]
    options: Schema = definition["properties"]
    bare = []
    for key, option in options.items():
        settings = option["anyOf"][0]  # the second is null
        if definitions[settings["$ref"].removeprefix("#/$defs/")].get("required"):
            options[key] = settings
        else:
            bare.append(key)
    mapping = {
        "type": "object",
        "properties": options,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {
        "title": name,
        "description": definition["description"],
        "anyOf": [{"enum": bare}, mapping] if bare else [mapping],
    }


if __name__ == "__main__":
    print(job_schema_text(), end="")  # noqa: T201
