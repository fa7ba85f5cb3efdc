"""Elementary functions from basic operations: the same bits on every machine with IEEE 754 arithmetic.

The functions work in float64 with +, -, *, / and operations on the bits of numbers. NumPy does each of these as one
operation with one rounding, on every processor and with every C library; it contracts none into a fused multiply-add.
So the results depend on the arguments alone. Rounded to float32, they are within 1 ulp of the exact values.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import NDArray

_Doubles = NDArray[np.float64]
_Singles = NDArray[np.float32]

BLOCK = 4096
"""Values that are computed at a time, so that the intermediate arrays stay in the second-level cache."""
_LN2 = 0.6931471805599453  # not `math.log(2)`, which the C library computes
_SHIFT = float(3 << 51)  # 1.5 times 2⁵²
"""A float64 plus this is rounded to a whole number, which the lowest bits of the sum hold."""
_EXPONENT = np.int64(52)
"""The lowest bit of a float64's exponent."""
_ONE = np.float64(1).view(np.int64)
_ROOT_UP = np.float64(sqrt(0.5)).view(np.int64) + (np.int64(1) << _EXPONENT) - 1
_COTH = (1 / 30240, -1 / 720, 1 / 12)
"""Coefficients of r⁶, r⁴ and r² in (r / 2) coth(r / 2), from the highest on."""
_ARTANH = tuple(2 / n for n in (11, 9, 7, 5, 3, 1))
"""Coefficients of s¹¹ to s in 2 artanh s."""


def expm1(x: _Singles, out: _Singles) -> None:
    """Write exp(x) - 1 to `out`, which has the shape of x and may be x.

    With x = k ln 2 + r and |r| <= ln(2) / 2 it is 2ᵏ (exp(r) - 1) + (2ᵏ - 1) (Cody and Waite 1980, Software Manual for
    the Elementary Functions, chapter 6), and exp(r) - 1 = r / ((r / 2) coth(r / 2) - r / 2). The series of coth is
    formula 4.5.67 of Abramowitz and Stegun (1964); the first term left out is 4e-10.

    Allocates four arrays of at most `BLOCK` float64.
    """
    _by_blocks(_expm1, 3, x, out)


def log1p(x: _Singles, out: _Singles) -> None:
    """Write log(1 + x) to `out`, which has the shape of x and may be x.

    With 1 + x = 2ᵏ (1 + f) and sqrt(1/2) <= 1 + f < sqrt(2) it is k ln 2 + 2 artanh(f / (2 + f)); the series of artanh
    is formula 4.1.27 of Abramowitz and Stegun (1964); the first term left out is 1e-10. The rounding error of 1 + x,
    which is exact as the difference of x and (1 + x) - 1, is added to f (the method of `s_log1p.c` in fdlibm, Sun
    Microsystems 1993).

    Allocates six arrays of at most `BLOCK` float64.
    """
    _by_blocks(_log1p, 5, x, out)


def standard_normal(generator: np.random.Generator, out: NDArray[np.floating]) -> None:
    """Fill a contiguous array with independent normal numbers of mean 0 and variance 1.

    Marsaglia's polar method (Marsaglia and Bray 1964, SIAM Review 6): a point (u, v) that is uniform in the disk
    0 < s = u² + v² < 1 gives the two numbers u and v times sqrt(-2 log(s) / s).
    """
    flat = out.reshape(-1)
    done, work = 0, np.empty((5, BLOCK))
    while done < flat.size:
        u, v = 2 * generator.random((2, BLOCK)) - 1
        s = u * u + v * v
        inside = (s > 0) & (s < 1)
        u, v, s = u[inside], v[inside], s[inside]
        logarithm = s - 1
        _log1p(logarithm, work[:, : s.size])
        factor = np.sqrt(-2 * logarithm / s)
        numbers = np.concatenate((u * factor, v * factor))[: flat.size - done]
        flat[done : done + numbers.size] = numbers
        done += numbers.size


def _by_blocks(function: Callable[[_Doubles, _Doubles], None], count: int, x: _Singles, out: _Singles) -> None:
    """Apply a function that replaces its argument, a float64 vector, and gets `count` further ones as work space."""
    results = out.reshape(-1) if out.flags.c_contiguous else np.empty(out.size, out.dtype)
    arguments, size = x.reshape(-1), min(BLOCK, x.size)
    work = np.empty((count + 1, size))
    with np.errstate(all="ignore"):
        for start in range(0, x.size, BLOCK):
            part = slice(start, start + BLOCK)
            y = work[count, : arguments[part].size]
            np.copyto(y, arguments[part])
            function(y, work[:count, : y.size])
            np.copyto(results[part], y, casting="same_kind")
    if not out.flags.c_contiguous:
        np.copyto(out, results.reshape(out.shape))


def inplace_exp(y: _Doubles) -> None:
    """Replace each value of a vector of at least -700 by its exponential, with a relative error below 1e-9.

    exp(x) is 2ᵏ (1 + (exp(r) - 1)), see `expm1`. Allocates three arrays like y.
    """
    power, square, denominator = np.empty((3, y.size))
    _reduce(y, power, square, denominator)
    np.add(y, 1, out=y)
    np.multiply(y, power, out=y)


def _expm1(y: _Doubles, work: _Doubles) -> None:
    power, square, denominator = work
    y.clip(-104, 89, out=y)  # beyond these float32 has -1 and infinity
    _reduce(y, power, square, denominator)
    np.multiply(y, power, out=y)
    np.subtract(1, power, out=power)
    np.subtract(y, power, out=y)  # a difference keeps the sign of -0


def _reduce(y: _Doubles, power: _Doubles, square: _Doubles, denominator: _Doubles) -> None:
    """Replace k ln 2 + r, in `y`, by exp(r) - 1, and write 2ᵏ to `power`. The other arrays are scratch."""
    np.multiply(y, 1 / _LN2, out=power)
    np.add(power, _SHIFT, out=power)  # its lowest bits are k
    np.subtract(power, _SHIFT, out=square)
    np.multiply(square, _LN2, out=square)
    np.subtract(y, square, out=y)  # r
    np.multiply(y, y, out=square)
    np.multiply(square, _COTH[0], out=denominator)
    for coefficient in _COTH[1:]:
        np.add(denominator, coefficient, out=denominator)
        np.multiply(denominator, square, out=denominator)
    np.multiply(y, 0.5, out=square)
    np.subtract(denominator, square, out=denominator)
    np.add(denominator, 1, out=denominator)
    np.divide(y, denominator, out=y)
    bits = power.view(np.int64)
    np.left_shift(bits, _EXPONENT, out=bits)
    np.add(bits, _ONE, out=bits)  # now `power` is 2ᵏ


def _log1p(y: _Doubles, work: _Doubles) -> None:
    u, scale, logarithm, s, square = work
    special = not (y.min(initial=0) > -1 and y.max(initial=0) < np.inf)
    x = y.copy() if special else y
    np.add(y, 1, out=u)
    np.subtract(u, 1, out=s)
    np.subtract(y, s, out=y)  # the rounding error of 1 + x
    exponents, bits = scale.view(np.int64), u.view(np.int64)
    np.subtract(_ROOT_UP, bits, out=exponents)
    np.right_shift(exponents, _EXPONENT, out=exponents)  # -k
    np.multiply(exponents, _LN2, out=logarithm)
    np.left_shift(exponents, _EXPONENT, out=exponents)
    np.add(bits, exponents, out=bits)  # now `u` is in [sqrt(1/2), sqrt(2))
    np.add(exponents, _ONE, out=exponents)  # now `scale` is 2⁻ᵏ
    np.multiply(y, scale, out=y)
    np.subtract(1, u, out=u)
    np.subtract(y, u, out=y)  # f
    np.add(y, 2, out=s)
    np.divide(y, s, out=s)
    np.multiply(s, s, out=square)
    np.multiply(square, _ARTANH[0], out=y)
    for coefficient in _ARTANH[1:-1]:
        np.add(y, coefficient, out=y)
        np.multiply(y, square, out=y)
    np.add(y, _ARTANH[-1], out=y)
    np.multiply(y, s, out=y)
    np.subtract(y, logarithm, out=y)
    if special:
        y[x == np.inf] = np.inf
        y[x == -1] = -np.inf
        y[x < -1] = np.nan
