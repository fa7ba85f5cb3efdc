"""Rules whose rate has a factor for each parameter, by the norms of its weights and of its direction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raydient.steps.arrays import Vector
from raydient.workers.powers import power, root

from .means import mix, mix_squares
from .optimizer import Vectors, zeros


@dataclass(frozen=True, slots=True)
class Lamb:
    """LAMB (You et al. 2020, algorithm 2).

    m and v as in Adam, u = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon) + d w with the weight decay d,
    w <- w - rate |w| / |u| u, t from 1. The norms are those of each parameter, a kernel or a bias; phi is the identity.
    The ratio is 1 if a norm is 0, as in Keras, which has no d in the ratio.
    """

    state: ClassVar[Mapping[str, float]] = zeros("first_moment", "second_moment")
    rests_at_zero: ClassVar[bool] = False

    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float

    def direct(self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors) -> None:
        (first, second), (a, _) = state, scratch
        t = step + 1
        spread = root(1 - power(self.beta_2, t))
        mix(first, gradient, self.beta_1, a)
        mix_squares(second, gradient, self.beta_2, a)
        np.sqrt(second, out=a)
        a += np.float32(self.epsilon * spread)
        np.multiply(first, np.float32(spread / (1 - power(self.beta_1, t))), out=gradient)
        gradient /= a
        if self.weight_decay:
            np.multiply(weights, np.float32(self.weight_decay), out=a)
            gradient += a

    def trust(self, weights: float, direction: float) -> float:
        return weights / direction if weights and direction else 1.0

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        np.multiply(gradient, np.float32(rate), out=scratch[0])
        weights -= scratch[0]


@dataclass(frozen=True, slots=True)
class Lars:
    """LARS (You, Gitman and Ginsburg 2017, algorithm 1).

    v <- m v + rate c |w| / (|g| + d |w|) (g + d w), w <- w - v, with the trust coefficient c and the weight decay d.
    The norms are those of each parameter, a kernel or a bias. The factor of the rate is 1 if a norm is 0, which the
    paper leaves open. Keras and PyTorch have no LARS.
    """

    state: ClassVar[Mapping[str, float]] = zeros("velocity")
    rests_at_zero: ClassVar[bool] = False

    momentum: float
    trust_coefficient: float
    weight_decay: float

    def direct(self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors) -> None:
        """Leave the gradient as it is: the ratio has its norm without the decay."""

    def trust(self, weights: float, direction: float) -> float:
        if not (weights and direction):
            return 1.0
        return self.trust_coefficient * weights / (direction + self.weight_decay * weights)

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (velocity,), (a, b) = state, scratch
        velocity *= np.float32(self.momentum)
        np.multiply(gradient, np.float32(rate), out=a)
        velocity += a
        if self.weight_decay:
            np.multiply(weights, np.float32(rate * self.weight_decay), out=b)
            velocity += b
        weights -= velocity
