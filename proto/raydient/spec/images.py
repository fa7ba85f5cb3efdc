"""Inputs that are images."""

from typing import Annotated

from pydantic import Field, field_validator

from .base import Model

Pixels = Annotated[int, Field(ge=1, le=4096)]


class Image(Model):
    """The size to which the images of an input are brought, and their channels: 1 of grey, or 3 of red, green and blue.

    A sample is an array (height, width, channels) of numbers from 0 to 1.
    """

    height: Pixels
    width: Pixels
    channels: Annotated[int, Field(ge=1, le=3)] = 3

    @field_validator("channels")
    @classmethod
    def _grey_or_colour(cls, channels: int) -> int:
        if channels not in (1, 3):
            raise ValueError("1 (grey) or 3 (red, green and blue) are possible")
        return channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one sample."""
        return self.height, self.width, self.channels
