"""Gradient descent, with and without momentum, and by signs alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raydient.steps.arrays import Vector

from .means import mix
from .optimizer import Vectors, zeros


class Sgd:
    """w <- w - rate g (Robbins and Monro 1951)."""

    state: ClassVar[Mapping[str, float]] = zeros()
    rests_at_zero: ClassVar[bool] = True

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        np.multiply(gradient, np.float32(rate), out=scratch[0])
        weights -= scratch[0]


@dataclass(frozen=True, slots=True)
class Momentum:
    """v <- m v - rate g, w <- w + v (Polyak 1964); Nesterov's form: w <- w + m v - rate g (Sutskever et al. 2013).

    PyTorch has the rate outside the velocity: v <- m v + g, w <- w - rate v. At a constant rate that is the same.
    """

    state: ClassVar[Mapping[str, float]] = zeros("velocity")
    rests_at_zero: ClassVar[bool] = False

    momentum: float
    nesterov: bool

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
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
class Lion:
    """w <- w - rate sign(b1 m + (1 - b1) g), then m <- b2 m + (1 - b2) g (Chen et al. 2023, algorithm 2).

    Its decoupled weight decay is that of every optimizer, `training.weight_decay`.
    """

    state: ClassVar[Mapping[str, float]] = zeros("momentum")
    rests_at_zero: ClassVar[bool] = False

    beta_1: float
    beta_2: float

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (momentum,), (a, b) = state, scratch
        np.multiply(momentum, np.float32(self.beta_1), out=a)
        np.multiply(gradient, np.float32(1 - self.beta_1), out=b)
        a += b
        np.sign(a, out=a)
        a *= np.float32(rate)
        weights -= a
        mix(momentum, gradient, self.beta_2, b)
