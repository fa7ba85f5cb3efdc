"""Functions that NumPy computes with other code on other machines, even with the same set of instructions.

NumPy takes float32 `expm1` and `log1p` from the C library on processors without AVX-512, and its normal numbers use the
C library's functions everywhere; their last bits depend on its version. A portable process computes them from basic
operations. Other processes call NumPy.
"""

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Floats

from . import elementary, normal_distribution
from .portable import portable


def expm1(x: Floats, out: Floats) -> None:
    """Write exp(x) - 1 to `out`, which has the shape and type of x and may be x.

    NumPy computes float64, which only the gradient check uses, in portable processes too.
    """
    if portable() and x.dtype == np.float32:
        elementary.expm1(x, out)
    else:
        np.expm1(x, out=out)


def log1p(x: Floats, out: Floats) -> None:
    """Write log(1 + x) to `out`, as `expm1` does."""
    if portable() and x.dtype == np.float32:
        elementary.log1p(x, out)
    else:
        np.log1p(x, out=out)


def rates(logarithms: Floats, out: NDArray[np.float64]) -> None:
    """Write exp of `logarithms` to `out`; in a portable process as float32, whose loop is NumPy's own."""
    if portable():
        np.exp(logarithms, out=out, dtype=np.float32)
    else:
        np.copyto(out, logarithms)
        np.exp(out, out=out)


def normal_cdf(z: Floats, out: Floats) -> None:
    """Write the distribution function of the normal distribution to `out`, which has the shape and type of z.

    The exponential in it is NumPy's, in a portable process one from basic operations.
    """
    basic = portable() and z.dtype == np.float32
    normal_distribution.normal_cdf(z, out, elementary.inplace_exp if basic else _inplace_exp)


def _inplace_exp(x: NDArray[np.float64]) -> None:
    np.exp(x, out=x)


def standard_normal(generator: np.random.Generator, out: Floats) -> None:
    """Fill a contiguous array with independent normal numbers of mean 0 and variance 1."""
    if portable():
        elementary.standard_normal(generator, out)
    else:
        generator.standard_normal(out=out, dtype=out.dtype.type)
