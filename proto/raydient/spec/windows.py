"""Fields of convolution and pooling: sizes along the axes of an image, and padding."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from .base import Model, OneOf
from .functions import Empty

LARGEST_WINDOW = 1024


Size = Annotated[int, Field(ge=1, le=LARGEST_WINDOW)]
Width = Annotated[int, Field(ge=0, le=LARGEST_WINDOW)]
OneNumber = BeforeValidator(lambda value: [value] if isinstance(value, int) else value)


def _one_or_more(least: int, least_items: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": least, "maximum": LARGEST_WINDOW}
    several: dict[str, Any] = {"type": "array", "items": number, "minItems": least_items, "maxItems": 2}
    return WithJsonSchema({"anyOf": [number, several]})


Sizes = Annotated[tuple[Size, ...], Field(min_length=1, max_length=2, strict=False), OneNumber, _one_or_more(1, 1)]
"""Height and width; one number is both."""
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=2, strict=False), OneNumber, _one_or_more(0, 1)]
"""Rows added at the top and columns added at the left; one number is both."""
FurtherWidths = Annotated[tuple[Width, ...], Field(max_length=2, strict=False), OneNumber, _one_or_more(0, 0)]
"""Rows added at the bottom and columns added at the right; one number is both; by default as at top and left."""


def pair(sizes: int | Sequence[int]) -> tuple[int, int]:
    """Height and width of one or two numbers; one number is both."""
    return (sizes, sizes) if isinstance(sizes, int) else (sizes[0], sizes[-1])


class ExplicitPadding(Model):
    """Zeros `before` the first value of an axis and `after` the last; `after` is `before` by default."""

    before: Widths
    after: FurtherWidths = ()


class Padding(OneOf):
    """Zeros around an image. valid: none. same: as many as make the output as large as the input divided by the stride,
    rounded up; an odd number has the larger half after the image.
    """

    valid: Empty | None = None
    same: Empty | None = None
    explicit: ExplicitPadding | None = None
