"""The end of training and its result: early stopping, the epoch that is kept, and numbers that are not finite."""

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


class Rollback(Model):
    """Return to the end of the last epoch, and multiply the learning rate by a factor, a limited number of times."""

    learning_rate_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_rollbacks: Annotated[int, Field(ge=1, le=1000)] = 5


class OnNonFinite(OneOf):
    """The answer to a step whose loss or gradient is NaN or infinite.

    fail: the job fails. skip_step: the step counts, and changes neither weights nor optimizer state. rollback: weights
    and optimizer state are again those at the end of the last epoch.
    """

    fail: Empty | None = None
    skip_step: Empty | None = None
    rollback: Rollback | None = None
