"""Rules that turn a gradient into an update: the published rule and nothing else.

Each works on any contiguous part of the flat vector, in place, element by element, so neither the number of shards nor
the size of a block changes a bit. `weights`, `gradient` and the arrays of `state` are float32 of one shape and do not
overlap; `scratch` is two more such arrays; the gradient is left as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from raydient.steps.arrays import Vector
from raydient.workers.powers import power, root


class Optimizer(Protocol):
    """An update rule with the settings of one job, except the learning rate, which may differ from step to step."""

    state: ClassVar[tuple[str, ...]]
    """Names of the arrays that it keeps, a value per parameter; they begin as zeros."""

    rests_at_zero: ClassVar[bool]
    """True if a gradient of 0 leaves weight and state as they are, bit by bit."""

    def update(
        self,
        step: int,
        weights: Vector,
        gradient: Vector,
        state: Sequence[Vector],
        scratch: Sequence[Vector],
        *,
        rate: float,
    ) -> None:
        """Apply update number `step`, counted from 0, with the learning rate `rate`."""


class Sgd:
    """w <- w - rate g (Robbins and Monro 1951)."""

    state: ClassVar[tuple[str, ...]] = ()
    rests_at_zero: ClassVar[bool] = True

    def update(
        self,
        step: int,
        weights: Vector,
        gradient: Vector,
        state: Sequence[Vector],
        scratch: Sequence[Vector],
        *,
        rate: float,
    ) -> None:
        np.multiply(gradient, np.float32(rate), out=scratch[0])
        weights -= scratch[0]


@dataclass(frozen=True, slots=True)
class Momentum:
    """v <- m v - rate g, w <- w + v (Polyak 1964); Nesterov's form: w <- w + m v - rate g (Sutskever et al. 2013)."""

    state: ClassVar[tuple[str, ...]] = ("velocity",)
    rests_at_zero: ClassVar[bool] = False

    momentum: float
    nesterov: bool

    def update(
        self,
        step: int,
        weights: Vector,
        gradient: Vector,
        state: Sequence[Vector],
        scratch: Sequence[Vector],
        *,
        rate: float,
    ) -> None:
        (velocity,), (rate_g, ahead) = state, scratch
        momentum = np.float32(self.momentum)
        np.multiply(gradient, np.float32(rate), out=rate_g)
        velocity *= momentum
        velocity -= rate_g
        if self.nesterov:
            np.multiply(velocity, momentum, out=ahead)
            weights += ahead
            weights -= rate_g
        else:
            weights += velocity


@dataclass(frozen=True, slots=True)
class Adam:
    """Kingma and Ba (2015), algorithm 1 with the cheaper order of its section 2.

    m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e'),
    t from 1. With e' = epsilon sqrt(1 - b2^t) that is algorithm 1 itself, epsilon outside the corrected root.
    """

    state: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")
    rests_at_zero: ClassVar[bool] = False

    beta_1: float
    beta_2: float
    epsilon: float

    def update(
        self,
        step: int,
        weights: Vector,
        gradient: Vector,
        state: Sequence[Vector],
        scratch: Sequence[Vector],
        *,
        rate: float,
    ) -> None:
        (first, second), (a, b) = state, scratch
        t = step + 1
        spread = root(1 - power(self.beta_2, t))
        np.multiply(gradient, np.float32(1 - self.beta_1), out=a)
        first *= np.float32(self.beta_1)
        first += a
        np.multiply(gradient, np.float32(1 - self.beta_2), out=a)
        a *= gradient
        second *= np.float32(self.beta_2)
        second += a
        np.sqrt(second, out=a)
        a += np.float32(self.epsilon * spread)
        np.multiply(first, np.float32(rate * spread / (1 - power(self.beta_1, t))), out=b)
        b /= a
        weights -= b


@dataclass(frozen=True, slots=True)
class UpdateRule:
    """An optimizer with the learning rate of each step and a factor of the gradient.

    Attributes:
        learning_rate: function of the step, counted from 0.
        scale: function of the squared norm of the whole gradient, which is then known before any weight changes: the
            factor of the gradient, as clipping needs it. None leaves the gradient as it is, without that delay.
    """

    optimizer: Optimizer
    learning_rate: Callable[[int], float]
    scale: Callable[[float], float] | None = None

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Sequence[Vector], scratch: Sequence[Vector]
    ) -> None:
        """Apply update number `step`, counted from 0, to a part of the vector, by its gradient after scaling."""
        self.optimizer.update(step, weights, gradient, state, scratch, rate=self.learning_rate(step))


def _sgd(momentum: float, nesterov: bool) -> Optimizer:
    return Momentum(momentum, nesterov) if momentum else Sgd()


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"sgd": _sgd, "adam": Adam}
"""By the name of the option in the specification; each takes the option's settings, except the learning rate."""


def build_rule(kind: str, settings: Mapping[str, Any]) -> UpdateRule:
    """Build the rule of a specification, whose `kind` and settings are valid. Its learning rate is constant."""
    rate: float = settings["learning_rate"]
    options = {name: value for name, value in settings.items() if name != "learning_rate"}
    return UpdateRule(OPTIMIZERS[kind](**options), lambda step: rate)
