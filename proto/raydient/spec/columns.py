"""The preparation of the columns of a table: missing values, bounds, logarithms and scales."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Model, OneOf
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


class ColumnSettings(Model):
    """The preparation of one column of numbers, in the order of these fields.

    An indicator is one more feature, after all columns of the input: 1 where the value is missing, else 0. `log`
    replaces x by log(1 + x).
    """

    impute: Impute | None = None
    indicator: bool = False
    clip: Bounds | None = None
    log: bool = False
    scale: Scale | None = None


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names. Raises ValueError if one is named twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f'"{name}" is named twice')
        seen.add(name)
    return names
