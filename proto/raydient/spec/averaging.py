"""The moving average of the weights."""

from typing import Annotated

from pydantic import Field

from .base import Model


class WeightAverage(Model):
    """Evaluate the exponential moving average of the weights after each step, and make it the model.

    As `use_ema` and `ema_momentum` of Keras 3: each step moves the average by 1 - `decay` of its way to the weights.
    """

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
