"""Rollback to the end of the last epoch, with a smaller learning rate. No I/O.

The number of rollbacks is part of the position of training, so the factor of the learning rate is too.
"""

from collections.abc import Mapping
from dataclasses import replace

from raydient.spec.training import Training
from raydient.steps.watched import Watched

from . import plateau
from .safeguard import level_of
from .scalars import power

ON_NON_FINITE = "on_non_finite"
"""Key of `Position.watched` for the number of rollbacks, which are its `reductions`."""


def rollbacks_in(watched: Mapping[str, Watched]) -> int:
    """Return the number of rollbacks so far."""
    return watched[ON_NON_FINITE].reductions if ON_NON_FINITE in watched else 0


def rolled_back(watched: Mapping[str, Watched]) -> Mapping[str, Watched]:
    """Return the state after one more rollback."""
    before = watched.get(ON_NON_FINITE, Watched())
    return {**watched, ON_NON_FINITE: replace(before, reductions=before.reductions + 1)}


def rate_factor(training: Training, watched: Mapping[str, Watched]) -> float:
    """Return the factor of the learning rate in a state.

    It is that of the schedule `plateau`, with that of the safeguard, and one for each rollback.
    """
    factor = plateau.rate_factor(training, watched) * level_of(training.consistency, watched).rate
    rollbacks = rollbacks_in(watched)
    if training.rollback is None or not rollbacks:
        return factor
    return factor * power(training.rollback.learning_rate_factor, rollbacks)
