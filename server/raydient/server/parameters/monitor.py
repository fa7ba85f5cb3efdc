"""Watches metrics at the end of each epoch. Every decision is a pure function of the epochs' metrics.

The state of a watched metric, `Watched`, lies in the position of training, so it is part of every checkpoint.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

from raydient.steps.watched import Watched


class Monitor:
    """A metric and the direction in which it improves.

    A value v improves on the best value b if v + d < b, or v - d > b where `larger` is better, with d = `min_delta`:
    `EarlyStopping` of Keras 3. The first value improves on none, and NaN never improves (with Keras, a NaN in the first
    epoch stays the best value).
    """

    def __init__(self, metric: str, *, larger: bool, min_delta: float = 0.0) -> None:
        """`metric` is a name among the epoch's metrics, such as `test_loss`."""
        self.metric, self.larger, self._min_delta = metric, larger, min_delta

    def improves(self, value: float, best: float | None) -> bool:
        """Return True if a value is better than the best one so far by more than `min_delta`."""
        if not isfinite(value):
            return False
        if best is None:
            return True
        return value - self._min_delta > best if self.larger else value + self._min_delta < best

    def after(self, watched: Watched, epoch: int, metrics: Mapping[str, float]) -> Watched:
        """Return the state after an epoch, numbered from 1. A metric that is missing does not improve."""
        value = metrics.get(self.metric, float("nan"))
        if self.improves(value, watched.best):
            return Watched(value, epoch)
        return replace(watched, wait=watched.wait + 1)
