"""The safeguard of a stale job: when the loss rises, a smaller bound of staleness, a smaller rate, then no staleness.

Its level is part of the position of training, as the number of reductions of a `plateau` is, so limit and rate are
functions of the position alone. No I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite

from raydient.spec import consistency as spec
from raydient.steps.watched import Watched

SAFEGUARD = "safeguard"
"""Key of `Position.watched` for the safeguard; its level is the number of `reductions`."""
METRIC = "train_loss"
FIRST_LIMIT = 4
"""The first bound of the staleness of an asynchronous job."""
RATE_FACTORS = 0.5, 0.25


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a safeguard.

    Attributes:
        limit: bound of the staleness; None without one; 0: synchronous.
        rate: factor of the learning rate.
    """

    limit: int | None
    rate: float = 1.0

    def __str__(self) -> str:
        if self.limit == 0:
            bound = "training is synchronous"
        else:
            bound = "the staleness " + ("has no bound" if self.limit is None else f"is at most {self.limit}")
        return bound if self.rate == 1 else f"{bound}, with {self.rate:g} of the learning rate"


def levels(consistency: spec.Consistency) -> list[Level]:
    """Return the levels of a job, that without a safeguard first."""
    made = [Level(consistency.limit)]
    guard = consistency.safeguard
    if guard is None:
        return made
    if guard.lower_limit:
        limit = FIRST_LIMIT if consistency.limit is None else consistency.limit // 4
        limits = [limit] if limit or made[0].limit != 1 else []
        while limits and limits[-1] > 1:
            limits.append(max(1, limits[-1] // 4))
        made += [Level(max(1, limit)) for limit in limits]
    if guard.reduce_rate:
        made += [Level(made[-1].limit, rate) for rate in RATE_FACTORS]
    if guard.synchronize:
        made.append(Level(0, made[-1].rate))
    return made


def level_of(consistency: spec.Consistency, watched: Mapping[str, Watched]) -> Level:
    """Return the level of a job in a state of its watched metrics."""
    known, number = levels(consistency), watched[SAFEGUARD].reductions if SAFEGUARD in watched else 0
    return known[min(number, len(known) - 1)]


@dataclass(frozen=True, slots=True)
class Safeguard:
    """Watches the loss of the training part; see `Monitor` for the interface.

    An epoch whose loss is NaN, infinite, or more than `loss_factor` times the lowest one since the last change leads to
    the next level.
    """

    loss_factor: float
    most: int

    def after(self, watched: Watched, epoch: int, metrics: Mapping[str, float]) -> Watched:
        """Return the state after an epoch, numbered from 1; an epoch without a loss changes nothing."""
        value = metrics.get(METRIC)
        if value is None:
            return watched
        rises = not isfinite(value) or (watched.best is not None and value > self.loss_factor * watched.best)
        if not rises:
            best = value if watched.best is None else min(value, watched.best)
            return replace(watched, best=best, epoch=epoch if best == value else watched.epoch)
        level = min(watched.reductions + 1, self.most)
        return Watched(value if isfinite(value) else None, epoch, reductions=level)
