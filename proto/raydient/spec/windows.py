"""What convolution and pooling share: sizes along the axes of an image, and padding."""

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
"""What is added at top and left; one number is both."""
FurtherWidths = Annotated[tuple[Width, ...], Field(max_length=2, strict=False), OneNumber, _one_or_more(0, 0)]
"""What is added at bottom and right; one number is both, none: as much as at top and left."""


class ExplicitPadding(Model):
    """So many zeros: `before` the first value of an axis and `after` the last; without `after` as many as before."""

    before: Widths
    after: FurtherWidths = ()


class Padding(OneOf):
    """What lies around an image. valid: nothing. same: with strides of 1 the output is as large as the input, with
    strides of s it is input / s, rounded up; an odd one is added after.
    """

    valid: Empty | None = None
    same: Empty | None = None
    explicit: ExplicitPadding | None = None
