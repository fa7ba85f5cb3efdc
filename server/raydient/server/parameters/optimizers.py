"""The rules that turn a gradient into an update: the published rule and nothing else.

Each works on any contiguous part of the flat vector, in place, element by element, so that neither the number of
parameter servers nor the size of a block changes a bit. `weights`, `gradient` and the arrays of `state` are float32 of
one shape and do not overlap; `scratch` is two more such arrays; the gradient is left as it was.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from raydient.steps.arrays import Vector


class Optimizer(Protocol):
    """An update rule with the settings of one job."""

    state: ClassVar[tuple[str, ...]]
    """Names of the arrays it remembers per parameter; they begin as zeros."""

    rests_at_zero: ClassVar[bool]
    """Whether a gradient of 0 leaves weight and state as they are, bit by bit."""

    learning_rate: float

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Sequence[Vector], scratch: Sequence[Vector]
    ) -> None:
        """Apply update number `step`, counted from 0."""


class Sgd:
    """w <- w - rate g (Robbins and Monro 1951)."""

    state: ClassVar[tuple[str, ...]] = ()
    rests_at_zero: ClassVar[bool] = True

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Sequence[Vector], scratch: Sequence[Vector]
    ) -> None:
        np.multiply(gradient, np.float32(self.learning_rate), out=scratch[0])
        weights -= scratch[0]


class Momentum:
    """v <- m v - rate g, w <- w + v (Polyak 1964); Nesterov's form: w <- w + m v - rate g (Sutskever et al. 2013)."""

    state: ClassVar[tuple[str, ...]] = ("velocity",)
    rests_at_zero: ClassVar[bool] = False

    def __init__(self, learning_rate: float, momentum: float, nesterov: bool) -> None:
        self.learning_rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Sequence[Vector], scratch: Sequence[Vector]
    ) -> None:
        (velocity,), (rate_g, ahead) = state, scratch
        momentum = np.float32(self.momentum)
        np.multiply(gradient, np.float32(self.learning_rate), out=rate_g)
        velocity *= momentum
        velocity -= rate_g
        if self.nesterov:
            np.multiply(velocity, momentum, out=ahead)
            weights += ahead
            weights -= rate_g
        else:
            weights += velocity


class Adam:
    """Kingma and Ba (2015), algorithm 1 with the cheaper order of its section 2.

    m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e'),
    t from 1. With e' = epsilon sqrt(1 - b2^t) that is algorithm 1 itself, epsilon outside the corrected root.
    """

    state: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")
    rests_at_zero: ClassVar[bool] = False

    def __init__(self, learning_rate: float, beta_1: float, beta_2: float, epsilon: float) -> None:
        self.learning_rate, self.beta_1, self.beta_2, self.epsilon = learning_rate, beta_1, beta_2, epsilon

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Sequence[Vector], scratch: Sequence[Vector]
    ) -> None:
        (first, second), (a, b) = state, scratch
        t = step + 1
        root = (1 - self.beta_2**t) ** 0.5
        np.multiply(gradient, np.float32(1 - self.beta_1), out=a)
        first *= np.float32(self.beta_1)
        first += a
        np.multiply(gradient, np.float32(1 - self.beta_2), out=a)
        a *= gradient
        second *= np.float32(self.beta_2)
        second += a
        np.sqrt(second, out=a)
        a += np.float32(self.epsilon * root)
        np.multiply(first, np.float32(self.learning_rate * root / (1 - self.beta_1**t)), out=b)
        b /= a
        weights -= b


def _sgd(settings: Mapping[str, Any]) -> Optimizer:
    if settings["momentum"]:
        return Momentum(settings["learning_rate"], settings["momentum"], settings["nesterov"])
    return Sgd(settings["learning_rate"])


def _adam(settings: Mapping[str, Any]) -> Optimizer:
    return Adam(**settings)


OPTIMIZERS = {"sgd": _sgd, "adam": _adam}
"""By the name of the option in the specification."""


def build_optimizer(kind: str, settings: Mapping[str, Any]) -> Optimizer:
    """The optimizer of a specification, whose `kind` and settings are valid."""
    return OPTIMIZERS[kind](settings)
