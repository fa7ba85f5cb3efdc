"""Random changes of training samples."""

from typing import Annotated

from pydantic import Field

from .base import Model


class Augmentation(Model):
    """Random changes of the training samples of an input, drawn anew for each sample in each epoch.

    Images, (height, width) or (height, width, channels), are mirrored with probability 1/2, and shifted by up to
    `shift` pixels down or up and right or left, with zeros in place of what is missing: a random crop of the image with
    as many zeros around it. `noise` is the standard deviation of normal numbers that are added to all values.
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    shift: Annotated[int, Field(ge=0, le=4096)] = 0
    noise: Annotated[float, Field(ge=0, le=1e6)] = 0.0

    @property
    def moves(self) -> bool:
        """True if values change their places."""
        return self.horizontal_flip or self.vertical_flip or self.shift > 0
