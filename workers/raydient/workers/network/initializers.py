"""Initializers: how parameters begin. Variances after Glorot and Bengio (2010) and He et al. (2015)."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec import functions as spec

Array = NDArray[np.float32]
Fill = Callable[[Array, np.random.Generator, int, int, Any], None]
"""Fills a contiguous float32 array in place, from (array, generator, fan in, fan out, settings)."""


def _uniform(out: Array, generator: np.random.Generator, variance: float) -> None:
    limit = sqrt(3 * variance)
    generator.random(out=out, dtype=np.float32)
    out *= 2 * limit
    out -= limit


def _normal(out: Array, generator: np.random.Generator, variance: float) -> None:
    generator.standard_normal(out=out, dtype=np.float32)
    out *= sqrt(variance)


def glorot_uniform(out: Array, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """Variance 2 / (fan in + fan out), uniform: keeps signals and gradients alike in size through sigmoid and tanh."""
    _uniform(out, generator, 2 / (fan_in + fan_out))


def glorot_normal(out: Array, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """The same variance, normal and not truncated."""
    _normal(out, generator, 2 / (fan_in + fan_out))


def he_uniform(out: Array, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """Variance 2 / fan in, uniform: makes up for the half that ReLU takes away."""
    _uniform(out, generator, 2 / fan_in)


def he_normal(out: Array, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """The same variance, normal and not truncated."""
    _normal(out, generator, 2 / fan_in)


def zeros(out: Array, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """Every value 0. For biases: kernels of zeros give every unit the same gradient for ever."""
    out.fill(0)


def ones(out: Array, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """Every value 1."""
    out.fill(1)


def constant(out: Array, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Constant) -> None:
    """Every value the given one."""
    out.fill(settings.value)


INITIALIZERS: dict[str, Fill] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "zeros": zeros,
    "ones": ones,
    "constant": constant,
}
