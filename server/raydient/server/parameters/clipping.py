"""Clipping of the gradient, as in Keras 3: by value, by the norm of each parameter, by the norm of the whole."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from raydient.spec import clipping as spec

Squares = NDArray[np.float64]
"""Squared norms of the gradient by parameter, in the order of the layout."""
Scale = Callable[[Squares], Sequence[float]]
"""Returns the factor of each parameter's gradient."""


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """g_p <- g_p min(1, limit / |g_p|) for each parameter p, as Keras's `clipnorm`."""

    limit: float

    def __call__(self, squares: Squares) -> Sequence[float]:
        factors: list[float] = (self.limit / np.maximum(np.sqrt(squares), self.limit)).tolist()
        return factors


@dataclass(frozen=True, slots=True)
class GlobalNorm:
    """g <- g min(1, limit / |g|) (Pascanu et al. 2013, algorithm 1)."""

    limit: float

    def __call__(self, squares: Squares) -> Sequence[float]:
        return [self.limit / max(sqrt(float(squares.sum())), self.limit)] * len(squares)


_SCALES: Mapping[str, Callable[[float], Scale]] = {"layer_norm": LayerNorm, "global_norm": GlobalNorm}


def scale_of(clipping: spec.Clipping | None) -> Scale | None:
    """Return the factors of a clipping by norms; None if it is by value, which needs no norm, and without clipping."""
    return _SCALES[clipping.kind](clipping.value.limit) if clipping and clipping.kind in _SCALES else None


def limit_of(clipping: spec.Clipping | None) -> float | None:
    """Return the largest absolute value of a gradient's values; None if they are not limited."""
    return float(clipping.value.limit) if clipping and clipping.kind == "values" else None


@dataclass(slots=True)
class Clipped:
    """The extent to which the gradients of a run were clipped.

    Attributes:
        factor: norm of the last gradient after clipping over its norm before; 1 if nothing was clipped.
        steps: number of updates whose gradient was clipped.
    """

    factor: float = 1.0
    steps: int = 0

    def add(self, before: float, after: float) -> None:
        """Add an update, by the squared norms of its gradient before and after clipping."""
        self.factor = sqrt(after / before) if after < before < np.inf else 1.0
        self.steps += self.factor < 1
