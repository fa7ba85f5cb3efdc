"""The base of all models of the job specification: frozen, strict, closed, finite."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .printable import is_printable


def _one_line(text: str) -> str:
    if not is_printable(text):
        raise ValueError(f"{text!r} has control characters or line breaks: leave them out")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
"""A text that is shown in lists and logs."""
Fraction = Annotated[float, Field(ge=0, lt=1)]


class Model(BaseModel):
    """A value object of the specification.

    Strict: the text "3" is not a number and true is not 1. Closed: an unknown key is an error.
    Finite: no NaN, no infinity.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def canonical(self) -> dict[str, Any]:
        """The JSON form with every default written out."""
        return self.model_dump(mode="json", exclude_none=True, by_alias=True)

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The names of the fields in the JSON form."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


class OneOf(Model):
    """Exactly one of its fields is set: the JSON form of a protobuf `oneof`.

    An option without settings may be written as its bare name: `relu` reads as `{relu: {}}`.
    """

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, data: object) -> object:
        if isinstance(data, str):
            return {data: {}}
        if isinstance(data, dict):
            # YAML reads `- flatten:` as {flatten: null}
            return {key: {} if value is None else value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            options = ", ".join(type(self).model_fields)
            present = ", ".join(sorted(self.model_fields_set)) or "none"
            raise ValueError(f"exactly one of {options} is needed, found {present}")
        return self

    @property
    def kind(self) -> str:
        """Name of the option that is set."""
        return next(iter(self.model_fields_set))

    @property
    def value(self) -> Any:
        """The settings of the option that is set."""
        return getattr(self, self.kind)
