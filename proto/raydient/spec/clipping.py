"""Clipping of the gradient before an update."""

from typing import Annotated

from pydantic import Field

from .base import Model, OneOf

Limit = Annotated[float, Field(gt=0, le=1e30)]  # weights are float32


class Clip(Model):
    """A limit of the gradient: of the absolute value of each value, or of a Euclidean norm."""

    limit: Limit


class Clipping(OneOf):
    """The bound of a gradient.

    values: each one is clipped to -limit..limit. layer_norm: the gradient by each parameter of a layer (kernel, bias)
    is scaled down where its norm exceeds the limit. global_norm: the whole gradient is scaled down where its norm does.
    """

    values: Clip | None = None
    layer_norm: Clip | None = None
    global_norm: Clip | None = None
