"""Initializers: random and constant initial values of parameters.

Variances after Glorot and Bengio (2010), He et al. (2015) and LeCun et al. (1998).
"""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec import functions as spec
from raydient.workers.functions import standard_normal

TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of standard normal numbers from -2 to 2."""
Weights = NDArray[np.float32]
"""A contiguous float32 array of the shape of a parameter."""
Fill = Callable[[Weights, np.random.Generator, int, int, Any], None]
"""Fills a contiguous float32 array in place; called with (array, generator, fan in, fan out, settings)."""


def _uniform(out: Weights, generator: np.random.Generator, variance: float) -> None:
    limit = sqrt(3 * variance)
    generator.random(out=out, dtype=np.float32)
    out *= 2 * limit
    out -= limit


def _normal(out: Weights, generator: np.random.Generator, variance: float) -> None:
    standard_normal(generator, out)
    out *= sqrt(variance)


def _truncated(out: Weights, generator: np.random.Generator) -> None:
    """Fill `out` with standard normal numbers from -2 to 2: others are drawn again."""
    standard_normal(generator, out)
    while len(outside := np.flatnonzero(np.abs(out) > 2)):
        again = np.empty(len(outside), np.float32)
        standard_normal(generator, again)
        out.reshape(-1)[outside] = again


def glorot_uniform(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty
) -> None:
    """Variance 2 / (fan in + fan out), uniform: keeps the variance of signals and gradients in sigmoid and tanh."""
    _uniform(out, generator, 2 / (fan_in + fan_out))


def glorot_normal(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty
) -> None:
    """The same variance, normal and not truncated."""
    _normal(out, generator, 2 / (fan_in + fan_out))


def he_uniform(out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """Variance 2 / fan in, uniform: compensates for ReLU, which zeroes half of the values."""
    _uniform(out, generator, 2 / fan_in)


def he_normal(out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """The same variance, normal and not truncated."""
    _normal(out, generator, 2 / fan_in)


def lecun_uniform(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty
) -> None:
    """Variance 1 / fan in, uniform, as the constants of SELU assume."""
    _uniform(out, generator, 1 / fan_in)


def lecun_normal(out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """The same variance, normal and not truncated."""
    _normal(out, generator, 1 / fan_in)


def orthogonal(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Orthogonal
) -> None:
    """Orthogonal rows or columns, whichever are fewer, each of length `gain` (Saxe et al. 2014), so that the length of
    vectors is kept up to the gain. All axes but the last are the rows.

    The values are Q of the QR decomposition of a matrix of normal numbers. If the diagonal of R is positive, Q is
    uniformly distributed.
    """
    matrix = out.reshape(-1, out.shape[-1])
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    numbers = np.empty(tall.shape)
    standard_normal(generator, numbers)
    q, r = np.linalg.qr(numbers)
    tall[...] = settings.gain * q * np.copysign(1, np.diagonal(r))


def random_uniform(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.RandomUniform
) -> None:
    """Uniform from `minval` to `maxval`."""
    generator.random(out=out, dtype=np.float32)
    out *= settings.maxval - settings.minval
    out += settings.minval


def random_normal(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.RandomNormal
) -> None:
    """Normal with `mean` and standard deviation `stddev`, not truncated."""
    standard_normal(generator, out)
    out *= settings.stddev
    out += settings.mean


def truncated_normal(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.TruncatedNormal
) -> None:
    """Normal with `mean` and `stddev`, but values more than two standard deviations from the mean are drawn again."""
    _truncated(out, generator)
    out *= settings.stddev
    out += settings.mean


def variance_scaling(
    out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.VarianceScaling
) -> None:
    """Variance scale / n with n the fan in, the fan out or their mean, by `mode`; mean 0.

    The general form of the other initializers of fans. The truncated normal distribution has the variance too: its
    `stddev` before truncation is larger, as in Keras.
    """
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[settings.mode.kind]
    variance = settings.scale / max(1, fan)
    match settings.distribution.kind:
        case "uniform":
            _uniform(out, generator, variance)
        case "untruncated_normal":
            _normal(out, generator, variance)
        case _:
            _truncated(out, generator)
            out *= sqrt(variance) / TRUNCATED_DEVIATION


def zeros(out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """Every value 0. For biases; in a kernel of zeros every unit always has the same gradient."""
    out.fill(0)


def ones(out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Empty) -> None:
    """Every value 1."""
    out.fill(1)


def constant(out: Weights, generator: np.random.Generator, fan_in: int, fan_out: int, settings: spec.Constant) -> None:
    """Every value `value`."""
    out.fill(settings.value)


INITIALIZERS: dict[str, Fill] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "zeros": zeros,
    "ones": ones,
    "constant": constant,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal,
    "random_uniform": random_uniform,
    "random_normal": random_normal,
    "truncated_normal": truncated_normal,
    "variance_scaling": variance_scaling,
}
