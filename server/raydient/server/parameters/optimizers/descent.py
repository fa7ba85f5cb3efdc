"""Gradient descent, with and without momentum."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raydient.steps.arrays import Vector


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
