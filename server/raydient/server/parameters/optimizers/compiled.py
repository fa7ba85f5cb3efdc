"""The commonest optimizers in compiled form, for the extra `fast`: each value is read and written once in an update.

The operations are those of the other form in the same order, each in float32. Numba's compiler does not contract or
reorder them, because that takes its option `fastmath`, so the bits are the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple
from functools import cache
from typing import Any

import numpy as np
from numba import njit, types

from raydient.steps.arrays import Vector

from .adam import Adam
from .descent import Momentum, Sgd
from .optimizer import Optimizer, Vectors

Factors = tuple[np.float32, ...]
Kernel = Callable[[Vector, Vector, Vectors, Factors], None]
"""A function of weights, gradient, arrays of state and factors, as Python code that Numba compiles."""


class CompiledSgd(Sgd):
    """`Sgd`, compiled."""

    def __init__(self) -> None:
        _compiled(_sgd, 0, 1)

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        _call(_sgd, weights, gradient, state, rate)


class CompiledMomentum(Momentum):
    """`Momentum`, compiled."""

    def __init__(self, momentum: float, nesterov: bool) -> None:
        super().__init__(momentum, nesterov)
        _compiled(self._kernel, 1, 2)

    @property
    def _kernel(self) -> Kernel:
        return _nesterov if self.nesterov else _momentum

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        _call(self._kernel, weights, gradient, state, self.momentum, rate)


class CompiledAdam(Adam):
    """`Adam`, compiled."""

    def __init__(self, beta_1: float, beta_2: float, epsilon: float, amsgrad: bool) -> None:
        super().__init__(beta_1, beta_2, epsilon, amsgrad)
        _compiled(self._kernel, len(self.state), 6)

    @property
    def _kernel(self) -> Kernel:
        return _amsgrad if self.amsgrad else _adam

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        decays = (self.beta_1, 1 - self.beta_1, self.beta_2, 1 - self.beta_2)
        _call(self._kernel, weights, gradient, state, *decays, *self.corrected(step, rate))


COMPILED: Mapping[type[Optimizer], Callable[..., Optimizer]] = {
    Sgd: CompiledSgd,
    Momentum: CompiledMomentum,
    Adam: CompiledAdam,
}
"""By the form that is not compiled; each takes the settings of that form."""


def compiled(optimizer: Optimizer) -> Optimizer:
    """Return the compiled form of an optimizer, which it is compiled for now; itself if there is none."""
    form = COMPILED.get(type(optimizer))
    if form is None:
        return optimizer
    return form(*astuple(optimizer)) if isinstance(optimizer, Momentum | Adam) else form()


def _call(kernel: Kernel, weights: Vector, gradient: Vector, state: Vectors, *factors: float) -> None:
    flat = tuple(array.reshape(-1) for array in state)
    compiled_kernel = _compiled(kernel, len(state), len(factors))
    compiled_kernel(weights.reshape(-1), gradient.reshape(-1), flat, tuple(map(np.float32, factors)))


@cache
def _compiled(kernel: Kernel, arrays: int, factors: int) -> Any:
    """Compile a kernel for this number of arrays of state and of factors."""
    values, gradient = types.Array(types.float32, 1, "C"), types.Array(types.float32, 1, "C", readonly=True)
    state, numbers = types.UniTuple(values, arrays), types.UniTuple(types.float32, factors)
    # As in NumPy a division by 0 gives infinity.
    return njit(types.void(values, gradient, state, numbers), nogil=True, error_model="numpy")(kernel)


# The kernels keep what they have computed in variables: an array may overlap another one for all that the compiler can
# tell, so that it would be read again.


def _sgd(weights: Vector, gradient: Vector, state: Vectors, factors: Factors) -> None:
    (rate,) = factors
    for i in range(weights.size):
        weights[i] -= gradient[i] * rate


def _momentum(weights: Vector, gradient: Vector, state: Vectors, factors: Factors) -> None:
    (velocity,), (momentum, rate) = state, factors
    for i in range(weights.size):
        v = velocity[i] * momentum - gradient[i] * rate
        velocity[i] = v
        weights[i] += v


def _nesterov(weights: Vector, gradient: Vector, state: Vectors, factors: Factors) -> None:
    (velocity,), (momentum, rate) = state, factors
    for i in range(weights.size):
        rate_g = gradient[i] * rate
        v = velocity[i] * momentum - rate_g
        velocity[i] = v
        weights[i] = weights[i] + v * momentum - rate_g


def _adam(weights: Vector, gradient: Vector, state: Vectors, factors: Factors) -> None:
    (first, second), (beta_1, rest_1, beta_2, rest_2, epsilon, rate) = state, factors
    for i in range(weights.size):
        g = gradient[i]
        m, v = first[i] * beta_1 + g * rest_1, second[i] * beta_2 + g * rest_2 * g
        first[i], second[i] = m, v
        weights[i] -= m * rate / (np.sqrt(v) + epsilon)


def _amsgrad(weights: Vector, gradient: Vector, state: Vectors, factors: Factors) -> None:
    (first, second, largest), (beta_1, rest_1, beta_2, rest_2, epsilon, rate) = state, factors
    for i in range(weights.size):
        g = gradient[i]
        m, v = first[i] * beta_1 + g * rest_1, second[i] * beta_2 + g * rest_2 * g
        most = np.maximum(largest[i], v)
        first[i], second[i], largest[i] = m, v, most
        weights[i] -= m * rate / (np.sqrt(most) + epsilon)
