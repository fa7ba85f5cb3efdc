"""The rules that turn a gradient into an update of the weights, and their settings."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from .base import Model, OneOf
from .dataset import Fraction

Rate = Annotated[float, Field(gt=0, le=1e30)]  # weights are float32


class Sgd(Model):
    """Stochastic gradient descent, with momentum if it is above 0 (Sutskever et al. 2013 where `nesterov`)."""

    learning_rate: Rate = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False

    @field_validator("nesterov")
    @classmethod
    def _nesterov_needs_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("needs momentum above 0")
        return nesterov


class Adam(Model):
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    learning_rate: Rate = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Annotated[float, Field(ge=1e-30, le=1)] = 1e-7


class Optimizer(OneOf):
    """The rule that turns a gradient into an update."""

    sgd: Sgd | None = None
    adam: Adam | None = None
