"""Powers of Python's floats, which the C library computes; a portable process computes them from products."""

from math import sqrt

from .portable import portable


def power(base: float, exponent: int) -> float:
    """Return base to the power of a whole number from 0 on."""
    return by_squaring(base, exponent) if portable() else float(base**exponent)


def root(x: float) -> float:
    """Return the square root of a number from 0 on; in a portable process the one that IEEE 754 defines."""
    return sqrt(x) if portable() else float(x**0.5)


def by_squaring(base: float, exponent: int) -> float:
    """Return base to the power of a whole number from 0 on, as a product of the powers base, base², base⁴ and so on.

    The relative error is at most about `exponent` times 2⁻⁵³ (Knuth, The Art of Computer Programming 2, 4.6.3).
    """
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result
