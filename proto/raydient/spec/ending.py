"""The end of training and its result: early stopping and the epoch that is kept."""

from typing import Annotated

from pydantic import Field

from .base import Model, OneOf
from .functions import Empty
from .monitored import MonitorMode, MonitorName


class EarlyStopping(Model):
    """End training after `patience` epochs in a row without an improvement by more than `min_delta`.

    As `EarlyStopping` of Keras 3, whose patience 0 is the same as 1.
    """

    monitor: MonitorName = "loss"
    patience: Annotated[int, Field(ge=1, le=2**31 - 1)] = 1
    min_delta: Annotated[float, Field(ge=0, le=1e30)] = 0.0
    mode: MonitorMode = MonitorMode(auto=Empty())


class KeepBest(Model):
    """The epoch with the best value of a metric."""

    monitor: MonitorName = "loss"
    mode: MonitorMode = MonitorMode(auto=Empty())


class Keep(OneOf):
    """The weights that the model has: those after the last step, or those at the end of the best epoch."""

    last: Empty | None = None
    best: KeepBest | None = None
