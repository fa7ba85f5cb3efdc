"""Powers and the cosine of a float64 from basic operations: the same bits with every C library.

Python's floats have one rounding for each of +, -, *, / on every machine, `frexp` and `ldexp` are exact.
"""

from math import frexp, inf, ldexp

from raydient.workers.powers import by_squaring

_LN2 = 0.6931471805599453
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
"""ln 2 in two parts (fdlibm, Sun Microsystems 1993). The first has 20 zero bits at its end: its multiples are exact."""
_PI = 3.141592653589793
_ROOT_HALF = 0.7071067811865476
_WHOLE = 1024
"""Largest whole exponent that is computed by products."""
_LARGEST, _SMALLEST = 709.0, -745.0
"""Bounds of exponents of e between which a float64 has a value besides 0 and infinity."""


def power(base: float, exponent: float) -> float:
    """Return base to the power of an exponent; both are from 0 on. 0 to the power of 0 is 1.

    A small whole exponent gives the product, any other one exp(exponent ln(base)), with a relative error of at most
    1e-12. Values beyond float64 are 0 and infinity.
    """
    if exponent <= _WHOLE and exponent == int(exponent):
        return by_squaring(base, int(exponent))
    return _exp(exponent * _log(base)) if base > 0 else 0.0


def cos_pi(x: float) -> float:
    """Return cos(pi x) for 0 <= x <= 1, exact for 0, 1/2 and 1, else with an error of at most 1e-15.

    Taylor's series up to pi/4; between there and pi/2 that of the sine of the rest.
    """
    if x > 0.5:
        return -cos_pi(1 - x)
    if x > 0.25:
        angle = _PI * (0.5 - x)
        return angle * _alternating(angle * angle, 17)
    return _alternating((_PI * x) ** 2, 18)


def _alternating(square: float, last: int) -> float:
    """Return 1 - x²/2! + x⁴/4! - ... for an even `last` exponent, 1 - x²/3! + x⁴/5! - ... for an odd one."""
    total = 1.0
    for n in range(last, 1, -2):
        total = 1.0 - total * square / (n * (n - 1))
    return total


def _log(x: float) -> float:
    """Return ln x for x above 0: k ln 2 + 2 artanh((m - 1) / (m + 1)) with x = 2ᵏ m and sqrt(1/2) <= m < sqrt(2).

    The series of artanh is formula 4.1.27 of Abramowitz and Stegun (1964); the first term left out is 1e-19.
    """
    m, k = frexp(x)
    if m < _ROOT_HALF:
        m, k = 2 * m, k - 1
    s = (m - 1) / (m + 1)
    square, total = s * s, 0.0
    for n in range(21, 0, -2):
        total = total * square + 2 / n
    return k * _LN2 + total * s


def _exp(x: float) -> float:
    """Return exp(x) as 2ᵏ exp(r) with x = k ln 2 + r, |r| <= ln(2) / 2, and Taylor's series of exp(r)."""
    if x > _LARGEST:
        return inf
    if x < _SMALLEST:
        return 0.0
    k = round(x / _LN2)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = 1.0
    for n in range(14, 0, -1):
        total = 1.0 + total * r / n
    return ldexp(total, k)
