"""Rules that divide a mean of gradients by the root of a mean of their squares: Adam and its relatives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import ClassVar

import numpy as np

from raydient.steps.arrays import Vector
from raydient.workers.powers import power, root

from .means import mix, mix_squares
from .optimizer import Vectors, zeros


@dataclass(frozen=True, slots=True)
class Adam:
    """Kingma and Ba (2015), algorithm 1 with the cheaper order of its section 2.

    m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + e'),
    t from 1. With e' = epsilon sqrt(1 - b2^t) that is algorithm 1 itself, epsilon outside the corrected root, as in
    PyTorch; Keras has e' = epsilon.

    With `amsgrad` the largest v so far takes the place of v in the last equation (Reddi et al. 2018, algorithm 2). The
    paper leaves out the corrections by t; Keras and PyTorch keep them, and so does this class.
    """

    rests_at_zero: ClassVar[bool] = False

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool = False

    @property
    def state(self) -> Mapping[str, float]:
        return zeros("first_moment", "second_moment", *["largest_second_moment"] * self.amsgrad)

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (first, second, *largest), (a, b) = state, scratch
        epsilon, corrected = self.corrected(step, rate)
        mix(first, gradient, self.beta_1, a)
        mix_squares(second, gradient, self.beta_2, a)
        for most in largest:
            np.maximum(most, second, out=most)
            second = most
        np.sqrt(second, out=a)
        a += np.float32(epsilon)
        np.multiply(first, np.float32(corrected), out=b)
        b /= a
        weights -= b

    def corrected(self, step: int, rate: float) -> tuple[float, float]:
        """Return e' and the factor of m in update number `step`, see above."""
        t = step + 1
        spread = root(1 - power(self.beta_2, t))
        return self.epsilon * spread, rate * spread / (1 - power(self.beta_1, t))


@dataclass(frozen=True, slots=True)
class Adamax:
    """Kingma and Ba (2015), algorithm 2.

    m <- b1 m + (1 - b1) g, u <- max(b2 u, |g|), w <- w - rate / (1 - b1^t) m / (u + epsilon), t from 1. The paper has
    no epsilon, so that a gradient that was always 0 is 0 / 0; Keras adds it as here, PyTorch to |g|.
    """

    state: ClassVar[Mapping[str, float]] = zeros("first_moment", "largest_gradient")
    rests_at_zero: ClassVar[bool] = False

    beta_1: float
    beta_2: float
    epsilon: float

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (first, largest), (a, b) = state, scratch
        mix(first, gradient, self.beta_1, a)
        np.abs(gradient, out=a)
        largest *= np.float32(self.beta_2)
        np.maximum(largest, a, out=largest)
        np.add(largest, np.float32(self.epsilon), out=a)
        np.multiply(first, np.float32(rate / (1 - power(self.beta_1, step + 1))), out=b)
        b /= a
        weights -= b


class Nadam:
    """Adam with Nesterov's momentum (Dozat 2016, algorithm 2).

    m and v as in Adam, then w <- w - rate (c m + d g) / (sqrt(v / (1 - b2^t)) + epsilon), t from 1, where
    c = mu(t + 1) / (1 - mu(1) ... mu(t + 1)) and d = (1 - mu(t)) / (1 - mu(1) ... mu(t)). The paper leaves mu open:
    mu(t) = b1 (1 - 0.96^t / 2) is that of Keras; PyTorch has 0.96^(t / 250).
    """

    state: ClassVar[Mapping[str, float]] = zeros("first_moment", "second_moment")
    rests_at_zero: ClassVar[bool] = False

    def __init__(self, beta_1: float, beta_2: float, epsilon: float) -> None:
        self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon
        momenta = [self._momentum(t) for t in range(1, _SETTLED + 1)]
        self._products: Sequence[float] = [1.0, *accumulate(momenta, mul)]  # of the first 0, 1, 2, ... momenta

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (first, second), (a, b) = state, scratch
        t = step + 1
        rate *= root(1 - power(self._beta_2, t))
        mix(first, gradient, self._beta_1, a)
        mix_squares(second, gradient, self._beta_2, a)
        np.sqrt(second, out=a)
        a += np.float32(self._epsilon * root(1 - power(self._beta_2, t)))
        np.multiply(first, np.float32(rate * self._momentum(t + 1) / (1 - self._product(t + 1))), out=b)
        b /= a
        weights -= b
        np.multiply(gradient, np.float32(rate * (1 - self._momentum(t)) / (1 - self._product(t))), out=b)
        b /= a
        weights -= b

    def _momentum(self, t: int) -> float:
        return self._beta_1 * (1 - power(_DECAY, t) / 2)

    def _product(self, t: int) -> float:
        """Return mu(1) ... mu(t)."""
        settled = max(0, t - _SETTLED)
        return self._products[t - settled] * power(self._beta_1, settled)


_DECAY = 0.96
_SETTLED = 1000
"""From this t on mu(t) is b1 in float64: 0.96^1000 / 2 is below 2^-54."""
