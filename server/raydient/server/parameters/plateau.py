"""Reduction of the learning rate when a metric of the held-out part stops improving. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import nan

from raydient.spec.training import Training
from raydient.steps.watched import Watched

from .monitor import Monitor
from .scalars import power

SCHEDULE = "schedule"
"""Key of `Position.watched` for the schedule that watches a metric."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """The rule of Keras's `ReduceLROnPlateau`, whose state is the position's, see `Monitor`.

    Attributes:
        monitor: the watched metric.
        training: the training of a job whose schedule is `plateau`.
        first_epoch: number of the first epoch that counts, from 1: the first that ends after the warm-up.
    """

    monitor: Monitor
    training: Training
    first_epoch: int = 1

    def after(self, watched: Watched, epoch: int, metrics: Mapping[str, float]) -> Watched:
        """Return the state after an epoch, numbered from 1. A metric that is missing does not improve."""
        if epoch < self.first_epoch:
            return watched
        settings = self.training.schedule.value
        wait, cooldown = watched.wait, watched.cooldown
        if cooldown:
            wait, cooldown = 0, cooldown - 1
        value = metrics.get(self.monitor.metric, nan)
        if self.monitor.improves(value, watched.best):
            return replace(watched, best=value, epoch=epoch, wait=0, cooldown=cooldown)
        wait += not cooldown
        if wait >= settings.patience and _rate(self.training, watched.reductions) > settings.min_lr:
            return replace(watched, wait=0, cooldown=settings.cooldown, reductions=watched.reductions + 1)
        return replace(watched, wait=wait, cooldown=cooldown)


def rate_factor(training: Training, watched: Mapping[str, Watched]) -> float:
    """Return the factor of the learning rate after some epochs; 1 for every schedule but `plateau`."""
    reductions = watched[SCHEDULE].reductions if SCHEDULE in watched else 0
    return _rate(training, reductions) / training.optimizer.value.learning_rate if reductions else 1.0


def _rate(training: Training, reductions: int) -> float:
    """Return max(base factor^n, min_lr), the rate after n reductions; base if there are none."""
    base: float = training.optimizer.value.learning_rate
    settings = training.schedule.value
    return max(base * power(settings.factor, reductions), settings.min_lr) if reductions else base
