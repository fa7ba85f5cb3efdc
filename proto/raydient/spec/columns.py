"""The preparation of the columns of a table: missing values, dates, bounds, logarithms and scales."""

from typing import Annotated, Self

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .base import Model, OneOf
from .dates import FORMS, PARTS, read_date
from .functions import Constant, Empty

Column = Annotated[str, Field(min_length=1, max_length=256)]
"""The name of a column of a table or of an array."""


class Impute(OneOf):
    """The number in place of a missing value.

    mean, median, most_frequent: of the values that the training part has; of several most frequent values the smallest.
    """

    mean: Empty | None = None
    median: Empty | None = None
    most_frequent: Empty | None = None
    constant: Constant | None = None


class Bounds(Model):
    """The bounds of a column; a value beyond one becomes that bound."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("`min` or `max` is needed")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"max, {self.max:g}, is not above min, {self.min:g}")
        return self


class Scale(OneOf):
    """The scale of a column.

    none: as it is. standardize: mean 0 and variance 1 in the training part. min_max: from 0 to 1 in the training part.
    """

    none: Empty | None = None
    standardize: Empty | None = None
    min_max: Empty | None = None


DatePart = Annotated[str, Field(json_schema_extra={"enum": list(PARTS)})]


class DateForm(Model):
    """The numbers that a date becomes: some of its parts, one feature each, or the days since another date.

    year; month and day, from 1; weekday, 0 for Monday to 6; day_of_year, from 1; hour, minute; second, a whole number.
    Days have a fraction, a 24th for an hour. A time with a zone is converted to UTC, one without is in UTC.
    """

    parts: Annotated[tuple[DatePart, ...], Field(max_length=len(PARTS), strict=False)] = ()
    days_since: Annotated[str, Field(max_length=64)] | None = None

    @field_validator("parts")
    @classmethod
    def _parts_are_distinct(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        for part in parts:
            if part not in PARTS:
                raise ValueError(f'"{part}" is no part of a date; these are {", ".join(PARTS)}')
        return distinct(parts)

    @field_validator("days_since")
    @classmethod
    def _is_date(cls, text: str | None) -> str | None:
        if text is not None and read_date(text) is None:
            raise ValueError(f'"{text}" is not a date such as {FORMS}')
        return text

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if bool(self.parts) == (self.days_since is not None):
            raise ValueError("`parts`, such as [year, month, day], or `days_since` is needed, one of the two")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, without that of the column."""
        return self.parts or ("days_since",)


class ColumnSettings(Model):
    """The preparation of one column of numbers or dates, in the order of these fields.

    An indicator is one more feature, after all columns of the input: 1 where the value is missing, else 0. `log`
    replaces x by log(1 + x). What comes after `date` applies to each of its features. `log` alone is `{log: true}`.
    """

    impute: Impute | None = None
    indicator: bool = False
    date: DateForm | None = None
    clip: Bounds | None = None
    log: bool = False
    scale: Scale | None = None

    @model_validator(mode="before")
    @classmethod
    def _logarithm_alone(cls, data: object) -> object:
        if isinstance(data, str):
            if data != "log":
                raise ValueError(f'"{data}" is no setting that stands alone, as `log` is: write `SETTING: {data}`')
            return {data: True}
        return data

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        title, description = schema.pop("title"), schema.pop("description")
        mapping = dict(schema)
        schema.clear()
        schema.update(title=title, description=description, anyOf=[{"const": "log", "type": "string"}, mapping])
        return schema


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names. Raises ValueError if one is named twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f'"{name}" is named twice')
        seen.add(name)
    return names
