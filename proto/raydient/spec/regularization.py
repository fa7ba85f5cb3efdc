"""Layers that keep a network from learning its samples by heart. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .layers import Placed


class Dropout(Placed):
    """In training each value is 0 with probability `rate`, else multiplied by 1 / (1 - rate); elsewhere untouched."""

    rate: Annotated[float, Field(ge=0, lt=1)]
