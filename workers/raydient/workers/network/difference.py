"""Numerical differentiation of a function of one variable, with an estimate of the error.

C. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Advances in Engineering Software 4 (1982): central
differences over ever smaller steps, extrapolated to step 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RATIO = 2.0
"""Factor between one step and the next."""
LEVELS = 26
"""Maximum number of steps: a factor of 3e7 between the largest and the smallest."""
NOISE = 8 * float(np.finfo(np.float64).eps)
"""Relative rounding error of a value of the function."""

Pair = Callable[[float], tuple[float, float]]
"""Values of the function at distance h above and below the point."""


@dataclass(frozen=True, slots=True)
class Derivative:
    """A derivative and an estimate of its error. The error is infinite if the quotients do not converge."""

    value: float
    error: float


def derivative(values: Pair, step: float, tolerance: float, magnitude: float = 0.0) -> Derivative:
    """Extrapolate central differences over ever smaller steps, from `step` on.

    Stop when the estimated relative error is at most `tolerance`, or when rounding makes smaller steps worse. The
    quotients converge only if the step is shorter than the distance to the next kink or jump. `magnitude` is the sum of
    the amounts of the terms of the function, if they have both signs: the scale of its rounding errors.
    """
    best, earlier = Derivative(math.nan, math.inf), list[float]()
    for _ in range(LEVELS):
        above, below = values(step)
        rounding = NOISE * max(abs(above), abs(below), magnitude) / step
        row = [(above - below) / (2 * step)]
        for order, before in enumerate(earlier, 1):
            row.append(row[-1] + (row[-1] - before) / (RATIO ** (2 * order) - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - before), rounding)
            if error <= best.error:
                best = Derivative(row[-1], error)
        if best.error <= max(tolerance * abs(best.value), rounding):
            break
        earlier, step = row, step / RATIO
    return best


def is_kink(values: Pair, middle: float, step: float, jump: float) -> bool:
    """True if the slope changes by `jump` or more at the point, where the function's value is `middle`.

    The difference between the slopes on both sides, over a distance h, shrinks with h where the function is smooth, and
    does not at a kink.
    """
    wide, narrow = (_slopes_apart(values(h), middle, h) for h in (step, step / 4))
    rounding = NOISE * abs(middle) / (step / 4)
    return narrow >= max(jump, wide / 2, 4 * rounding)


def _slopes_apart(around: tuple[float, float], middle: float, step: float) -> float:
    above, below = around
    return abs((above - middle) - (middle - below)) / step
