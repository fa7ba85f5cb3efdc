"""Reduction of the learning rate when a metric of the held-out part stops improving. No I/O."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from math import isfinite

from .scalars import power

_BEST, _WAIT, _COOLDOWN, _REDUCTIONS = (f"plateau.{name}" for name in ("best", "wait", "cooldown", "reductions"))


@dataclass(frozen=True, slots=True)
class Plateau:
    """The rule of Keras's `ReduceLROnPlateau`: rate = max(base factor^n, min_lr) after n reductions.

    A value is better if it is below the best one - `min_delta`, or with `maximize` above the best one + `min_delta`.
    The rule keeps numbers between the epochs in a mapping, which it gets with each call: the best value, the epochs
    since then, the epochs of cooldown to come and the number of reductions. It begins without any.

    Attributes:
        monitor: name of the metric.
    """

    monitor: str
    factor: float
    patience: int
    maximize: bool
    min_delta: float
    cooldown: int
    min_lr: float

    def rate(self, base: float, state: Mapping[str, float]) -> float:
        """Return the rate of the next steps. A base below `min_lr` is not changed."""
        reductions = state.get(_REDUCTIONS, 0)
        return max(base * power(self.factor, reductions), self.min_lr) if reductions else base

    def end_epoch(self, value: float, base: float, state: MutableMapping[str, float]) -> None:
        """Take the metric's value at the end of an epoch. One that is not finite is no improvement."""
        best, wait, cooldown = state.get(_BEST), state.get(_WAIT, 0), state.get(_COOLDOWN, 0)
        if cooldown:
            cooldown, wait = cooldown - 1, 0
        if isfinite(value) and (best is None or self._is_better(value, best)):
            state[_BEST], wait = value, 0
        elif not cooldown:
            wait += 1
            if wait >= self.patience and self.rate(base, state) > self.min_lr:
                state[_REDUCTIONS] = state.get(_REDUCTIONS, 0) + 1
                cooldown, wait = self.cooldown, 0
        state[_WAIT], state[_COOLDOWN] = wait, cooldown

    def _is_better(self, value: float, best: float) -> bool:
        return value - self.min_delta > best if self.maximize else value + self.min_delta < best
