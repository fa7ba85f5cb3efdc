"""Adam."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raydient.steps.arrays import Vector
from raydient.workers.powers import power, root


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
