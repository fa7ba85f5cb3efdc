"""Weights of another model that a job starts from, whole or in part."""

from typing import Annotated

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .base import Model
from .decay import Pattern

Patterns = Annotated[tuple[Pattern, ...], Field(max_length=1024, strict=False)]


class InitialWeights(Model):
    """Parameters that begin with the values of another model; `from` alone may be written as its text.

    Without `include` and `exclude` the other model has exactly the parameters of this network. With them the parameters
    that match `include`, by default all, and not `exclude` are taken, the others begin as always. `rename` gives
    parameters of the other model, or all of a layer, the names that they have in this network.
    """

    from_: Annotated[str, Field(min_length=1, max_length=4096, alias="from")]
    include: Patterns = ()
    exclude: Patterns = ()
    rename: Annotated[dict[Pattern, Pattern], Field(max_length=1024)] = {}  # noqa: RUF012  (pydantic copies it)

    @property
    def is_partial(self) -> bool:
        """True if some parameters may begin as always."""
        return bool(self.include or self.exclude)

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, data: object) -> object:
        return {"from": data} if isinstance(data, str) else data

    @field_validator("rename")
    @classmethod
    def _to_distinct_names(cls, rename: dict[str, str]) -> dict[str, str]:
        seen: dict[str, str] = {}
        for old, new in rename.items():
            if new in seen:
                raise ValueError(f'"{seen[new]}" and "{old}" would both be "{new}": give them distinct names')
            seen[new] = old
        return rename

    def new_name(self, name: str) -> str:
        """Return the name in this network of a parameter of the other model, or of a layer of it."""
        layer, dot, parameter = name.partition(".")
        return self.rename.get(name) or self.rename.get(layer, layer) + dot + parameter

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        title, description = schema.pop("title"), schema.pop("description")
        mapping = dict(schema)
        text = {"type": "string", "maxLength": 4096}
        schema.clear()
        schema.update(title=title, description=description, anyOf=[text, mapping])
        return schema
