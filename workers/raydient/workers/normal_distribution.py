"""The distribution function of the normal distribution, which NumPy lacks, from basic operations.

The formulas and coefficients are those of `s_erf.c` in fdlibm (Sun Microsystems 1993): rational approximations of the
error function for the amounts from 0 to 0.84375, to 1.25, to 1 / 0.35 and above.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Floats

_Doubles = NDArray[np.float64]

BLOCK = 1024
"""Values that are computed at a time, in float64."""
_ROOT_OF_HALF = 0.7071067811865476
_SMALL, _MIDDLE, _LARGE = 0.84375, 1.25, 1 / 0.35
_NEAR_1 = 8.45062911510467529297e-01
"""erf(1) in float32, to which the approximation between `_SMALL` and `_MIDDLE` is added."""
_SMALL_ABOVE = (
    *(-2.37630166566501626084e-05, -5.77027029648944159157e-03, -2.84817495755985104766e-02),
    *(-3.25042107247001499370e-01, 1.28379167095512558561e-01),
)
_SMALL_BELOW = (
    *(-3.96022827877536812320e-06, 1.32494738004321644526e-04, 5.08130628187576562776e-03),
    *(6.50222499887672944485e-02, 3.97917223959155352819e-01, 1.0),
)
_MIDDLE_ABOVE = (
    *(-2.16637559486879084300e-03, 3.54783043256182359371e-02, -1.10894694282396677476e-01),
    *(3.18346619901161753674e-01, -3.72207876035701323847e-01, 4.14856118683748331666e-01),
    -2.36211856075265944077e-03,
)
_MIDDLE_BELOW = (
    *(1.19844998467991074170e-02, 1.36370839120290507362e-02, 1.26171219808761642112e-01),
    *(7.18286544141962662868e-02, 5.40397917702171048937e-01, 1.06420880400844228286e-01, 1.0),
)
_LARGE_ABOVE = (
    *(-9.81432934416914548592e00, -8.12874355063065934246e01, -1.84605092906711035994e02),
    *(-1.62396669462573470355e02, -6.23753324503260060396e01, -1.05586262253232909814e01),
    *(-6.93858572707181764372e-01, -9.86494403484714822705e-03),
)
_LARGE_BELOW = (
    *(-6.04244152148580987438e-02, 6.57024977031928170135e00, 1.08635005541779435134e02),
    *(4.29008140027567833386e02, 6.45387271733267880336e02, 4.34565877475229228821e02),
    *(1.37657754143519042600e02, 1.96512716674392571292e01, 1.0),
)
_LARGEST_ABOVE = (
    *(-4.83519191608651397019e02, -1.02509513161107724954e03, -6.37566443368389627722e02),
    *(-1.60636384855821916062e02, -1.77579549177547519889e01, -7.99283237680523006574e-01),
    -9.86494292470009928597e-03,
)
_LARGEST_BELOW = (
    *(-2.24409524465858183362e01, 4.74528541206955367215e02, 2.55305040643316442583e03),
    *(3.19985821950859553908e03, 1.53672958608443695994e03, 3.25792512996573918826e02),
    *(3.03380607434824582924e01, 1.0),
)
"""Coefficients of numerators and denominators, from the highest power on."""


def normal_cdf(z: Floats, out: Floats, exp: Callable[[_Doubles], None]) -> None:
    """Write Φ(z), the probability that a normal number is below z, to `out`, which has the shape and type of z.

    Values beyond 37 are taken as 37. Rounded to float32, results are within 1 ulp for any z, with an `exp` that is.
    Allocates some arrays of at most `BLOCK` float64.

    Args:
        z: of any shape.
        out: overwritten; may be z.
        exp: replaces the values of a vector, which are above -700, by their exponentials.
    """
    results = out.reshape(-1) if out.flags.c_contiguous else np.empty(out.size, out.dtype)
    values = z.reshape(-1)
    for start in range(0, values.size, BLOCK):
        part = slice(start, start + BLOCK)
        x = values[part].clip(-37, 37).astype(np.float64)
        np.multiply(x, _ROOT_OF_HALF, out=x)
        np.copyto(results[part], _cdf(x, exp), casting="same_kind")
    if not out.flags.c_contiguous:
        np.copyto(out, results.reshape(out.shape))


def _cdf(x: _Doubles, exp: Callable[[_Doubles], None]) -> _Doubles:
    """Return erfc(-x) / 2 for a vector."""
    amounts, results = np.absolute(x), np.empty_like(x)
    is_small, is_below_middle = amounts < _SMALL, amounts < _MIDDLE
    for rows, function in (
        (np.flatnonzero(is_small), _small),
        (np.flatnonzero(is_below_middle & ~is_small), _middle),
        (np.flatnonzero((amounts < _LARGE) & ~is_below_middle), lambda a: _tail(a, _LARGE_ABOVE, _LARGE_BELOW, exp)),
        (np.flatnonzero(~(amounts < _LARGE)), lambda a: _tail(a, _LARGEST_ABOVE, _LARGEST_BELOW, exp)),
    ):
        if rows.size:
            results[rows] = function(amounts[rows])
    np.subtract(1, results, out=results, where=x > 0)
    return results


def _small(a: _Doubles) -> _Doubles:
    """Return erfc(a) / 2 by erf(a) = a + a P(a²) / Q(a²)."""
    return 0.5 - 0.5 * (a + a * _quotient(a * a, _SMALL_ABOVE, _SMALL_BELOW))


def _middle(a: _Doubles) -> _Doubles:
    """Return erfc(a) / 2 by erf(a) = c + P(a - 1) / Q(a - 1)."""
    return 0.5 * ((1 - _NEAR_1) - _quotient(a - 1, _MIDDLE_ABOVE, _MIDDLE_BELOW))


def _tail(a: _Doubles, above: tuple[float, ...], below: tuple[float, ...], exp: Callable[[_Doubles], None]) -> _Doubles:
    """Return erfc(a) / 2 by erfc(a) = exp(-a² - 0.5625 + R(1 / a²) / S(1 / a²)) / a."""
    square = a * a
    exponent = _quotient(1 / square, above, below) - square - 0.5625
    exp(exponent)
    return 0.5 * exponent / a


def _quotient(x: _Doubles, above: tuple[float, ...], below: tuple[float, ...]) -> _Doubles:
    return _polynomial(x, above) / _polynomial(x, below)


def _polynomial(x: _Doubles, coefficients: tuple[float, ...]) -> _Doubles:
    """Horner's scheme: coefficients from the highest power on."""
    total = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        np.add(total, coefficient, out=total)
        np.multiply(total, x, out=total)
    np.add(total, coefficients[-1], out=total)
    return total
