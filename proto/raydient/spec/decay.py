"""Decay of the weights."""

from typing import Annotated

from pydantic import Field

from .base import Model

Pattern = Annotated[str, Field(min_length=1, max_length=256)]

UNDECAYED = ("*bias", "*.gamma", "*.beta")
"""Patterns of the parameters that users exclude: biases, and scale and shift of normalizations."""


class WeightDecay(Model):
    """Decoupled weight decay: each step takes the learning rate times `rate` times the weight off a weight.

    `exclude` are patterns of the names of parameters that do not decay, such as `*bias` or `dense_1.*`.
    """

    rate: Annotated[float, Field(gt=0, le=1e30)]
    exclude: Annotated[tuple[Pattern, ...], Field(max_length=1024, strict=False)] = UNDECAYED
