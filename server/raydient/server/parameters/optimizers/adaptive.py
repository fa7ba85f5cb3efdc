"""Rules that divide the gradient by the root of a sum or a mean of its squares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raydient.steps.arrays import Floats, Vector

from .means import mix, mix_squares
from .optimizer import Vectors, zeros


@dataclass(frozen=True, slots=True)
class Adagrad:
    """n <- n + g^2, w <- w - rate g / sqrt(n + epsilon) (Duchi et al. 2011, section 1.1, the diagonal form).

    The paper and PyTorch add epsilon to the root; inside it, and the initial n, are those of Keras.
    """

    rests_at_zero: ClassVar[bool] = True

    initial_accumulator_value: float
    epsilon: float

    @property
    def state(self) -> Mapping[str, float]:
        return {"accumulator": self.initial_accumulator_value}

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (accumulator,), (a, b) = state, scratch
        np.multiply(gradient, gradient, out=a)
        accumulator += a
        np.add(accumulator, np.float32(self.epsilon), out=a)
        np.sqrt(a, out=a)
        np.multiply(gradient, np.float32(rate), out=b)
        b /= a
        weights -= b


@dataclass(frozen=True, slots=True)
class RowwiseAdagrad(Adagrad):
    """Adagrad with one accumulator for each row of a table; outside tables it is `Adagrad`.

    n <- n + mean(g^2), w <- w - rate g / sqrt(n + epsilon), with the mean over the values of the row. That is the rule
    of FBGEMM (`EXACT_ROWWISE_ADAGRAD`), TorchRec (`RowWiseAdagrad`) and DLRM (`RWSAdagrad`), which add epsilon to the
    root and begin with n = 0. Both are as in `Adagrad` here, so that a row of one value gets the same bits from either.

    The mean is taken in float32. NumPy adds the values of a row in an order that follows from their number alone.
    """

    def update_rows(
        self, step: int, weights: Floats, gradient: Floats, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (accumulator,), (a, b) = state, scratch
        np.multiply(gradient, gradient, out=a)
        accumulator += a.mean(axis=1, keepdims=True)
        np.multiply(gradient, np.float32(rate), out=b)
        b /= np.sqrt(accumulator + np.float32(self.epsilon))
        weights -= b


@dataclass(frozen=True, slots=True)
class Adadelta:
    """Zeiler (2012), algorithm 1, whose rate is 1.

    r <- rho r + (1 - rho) g^2, d = sqrt(s + epsilon) / sqrt(r + epsilon) g, s <- rho s + (1 - rho) d^2,
    w <- w - rate d.
    """

    state: ClassVar[Mapping[str, float]] = zeros("gradient_squares", "update_squares")
    rests_at_zero: ClassVar[bool] = False

    rho: float
    epsilon: float

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (gradients, updates), (a, b) = state, scratch
        mix_squares(gradients, gradient, self.rho, a)
        np.add(updates, np.float32(self.epsilon), out=a)
        np.sqrt(a, out=a)
        np.add(gradients, np.float32(self.epsilon), out=b)
        np.sqrt(b, out=b)
        a /= b
        a *= gradient
        mix_squares(updates, a, self.rho, b)
        a *= np.float32(rate)
        weights -= a


@dataclass(frozen=True, slots=True)
class RmsProp:
    """Tieleman and Hinton (2012), lecture 6.5; `centered` and `momentum` by Graves (2013), equations 38 to 45.

    r <- rho r + (1 - rho) g^2, u = rate g / sqrt(r + epsilon), w <- w - u. With `centered`, c <- rho c + (1 - rho) g
    and r - c^2 takes the place of r in the root. With `momentum`, v <- momentum v + u, w <- w - v.

    Hinton has no epsilon; inside the root it is that of Graves and Keras, PyTorch adds it to the root. r - c^2 is at
    least 0; rounding can make it negative, which Keras and PyTorch leave, so that the weight becomes NaN.
    """

    rests_at_zero: ClassVar[bool] = False

    rho: float
    momentum: float
    epsilon: float
    centered: bool

    @property
    def state(self) -> Mapping[str, float]:
        return zeros("gradient_squares", *["gradient_mean"] * self.centered, *["velocity"] * (self.momentum > 0))

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        (squares, *others), (a, b) = state, scratch
        mix_squares(squares, gradient, self.rho, a)
        if self.centered:
            mean, *others = others
            mix(mean, gradient, self.rho, a)
            np.multiply(mean, mean, out=a)
            np.subtract(squares, a, out=a)
            np.maximum(a, np.float32(0), out=a)
            a += np.float32(self.epsilon)
        else:
            np.add(squares, np.float32(self.epsilon), out=a)
        np.sqrt(a, out=a)
        np.multiply(gradient, np.float32(rate), out=b)
        b /= a
        if others:
            (velocity,) = others
            velocity *= np.float32(self.momentum)
            velocity += b
            b = velocity
        weights -= b


@dataclass(frozen=True, slots=True)
class Ftrl:
    """Follow the regularized leader, FTRL-Proximal (McMahan et al. 2013, algorithm 1).

    n' = n + g^2, z <- z + g - (sqrt(n') - sqrt(n)) / rate w, n <- n', and the new w is 0 where |z| <= l1, else
    (sign(z) l1 - z) / ((beta + sqrt(n)) / rate + l2). The weights follow from z and n alone: of initial weights little
    is left after the first step. A rate of 0 changes nothing.

    As in Keras, n begins at `initial_accumulator_value`, beta is 0 by default, l2 is twice `l2`, and
    2 `l2_shrinkage` w is added to the g in z. Keras' `learning_rate_power` is -0.5, as in the paper: other powers of
    arrays have other bits on other machines.
    """

    rests_at_zero: ClassVar[bool] = False

    initial_accumulator_value: float
    l1_regularization_strength: float
    l2_regularization_strength: float
    l2_shrinkage_regularization_strength: float
    beta: float

    @property
    def state(self) -> Mapping[str, float]:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        if rate == 0:
            return
        (accumulator, linear), (a, b) = state, scratch
        np.sqrt(accumulator, out=a)
        np.multiply(gradient, gradient, out=b)
        accumulator += b
        np.sqrt(accumulator, out=b)
        np.subtract(b, a, out=a)
        a /= np.float32(rate)
        a *= weights
        linear += gradient
        linear -= a
        if self.l2_shrinkage_regularization_strength:
            np.multiply(weights, np.float32(2 * self.l2_shrinkage_regularization_strength), out=a)
            linear += a
        b += np.float32(self.beta)
        b /= np.float32(rate)
        b += np.float32(2 * self.l2_regularization_strength)
        l1 = np.float32(self.l1_regularization_strength)
        np.clip(linear, -l1, l1, out=a)
        a -= linear
        np.divide(a, b, out=weights)
