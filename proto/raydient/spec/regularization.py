"""Layers against overfitting. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .layers import Placed


class Dropout(Placed):
    """Set each value to 0 with probability `rate`, else multiply it by 1 / (1 - rate); only in training."""

    rate: Annotated[float, Field(ge=0, lt=1)]
