"""Steps that bend the range of features: bounds, and logarithms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from raydient.spec.columns import Bounds

from .layers import Shape
from .onnx_graph import OnnxGraph
from .transform import FigureError, FitError, Floats64, Places, Settings, Transform, check_places, check_shape

LIMIT = float(np.finfo(np.float64).max)
"""Bound of a feature on a side on which it has none."""


@dataclass(frozen=True, eq=False)
class Bounding(Transform):
    """x → min(max(x, low), high) for some features.

    Attributes:
        places: (k,), indices of the features in a sample of one axis.
        low, high: (k,), finite.
    """

    places: Places
    low: Floats64
    high: Floats64

    kind: ClassVar[str] = "bounding"
    types: ClassVar[dict[str, type[Any]]] = {"places": np.int64, "low": np.float64, "high": np.float64}

    @classmethod
    def of(cls, bounds: Mapping[int, Bounds]) -> Self:
        """Return the step for the bounds of features, by their places."""
        low = [-LIMIT if one.min is None else one.min for one in bounds.values()]
        high = [LIMIT if one.max is None else one.max for one in bounds.values()]
        return cls(np.array(list(bounds), np.int64), np.array(low), np.array(high))

    @property
    def settings(self) -> Settings:
        """See `Transform`."""
        bounds = zip(self.places.tolist(), self.low.tolist(), self.high.tolist(), strict=True)
        return {"clip": {place: _bounds_text(low, high) for place, low, high in bounds}}

    def check(self, shape: Shape) -> None:
        """See `Transform`."""
        _check_columns(self.places, shape)
        check_shape("low", self.low, self.places.shape)
        check_shape("high", self.high, self.places.shape)
        if (self.low >= self.high).any():
            raise FigureError("high", "a number is not above that of `low`")

    def apply(self, x: Floats64) -> Floats64:
        """See `Transform`."""
        bounded = x.copy()
        bounded[:, self.places] = np.clip(x[:, self.places], self.low, self.high)
        return bounded

    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """See `Transform`."""
        low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
        low[self.places], high[self.places] = self.low, self.high
        above = graph.node("Max", [x, graph.constant(low, exact=True)])
        return graph.node("Min", [above, graph.constant(high, exact=True)])


@dataclass(frozen=True, eq=False)
class Logarithm(Transform):
    """x → log(1 + x) for some features, which have to be above -1.

    Attributes:
        places: (k,), indices of the features in a sample of one axis.
    """

    places: Places

    kind: ClassVar[str] = "logarithm"
    types: ClassVar[dict[str, type[Any]]] = {"places": np.int64}

    @property
    def settings(self) -> Settings:
        """See `Transform`."""
        return {"log": dict.fromkeys(self.places.tolist(), "true")}

    @classmethod
    def fit(cls, x: NDArray[np.number], places: Places) -> Self:
        """Check that the samples `x` (n, features) have logarithms.

        Raises:
            FitError: a value is -1 or below.
        """
        least = x[:, places].min(axis=0)
        if (least <= -1).any():
            place = int((least <= -1).argmax())
            raise FitError((int(places[place]),), f"{least[place]:g} has no log(1 + x): clip it above -1")
        return cls(places)

    def check(self, shape: Shape) -> None:
        """See `Transform`."""
        _check_columns(self.places, shape)

    def apply(self, x: Floats64) -> Floats64:
        """See `Transform`. NaN or infinite where there is no logarithm."""
        logarithms = x.copy()
        with np.errstate(invalid="ignore", divide="ignore"):
            # not log1p, which ONNX does not have: both have to give the same numbers
            logarithms[:, self.places] = np.log(1.0 + x[:, self.places])
        return logarithms

    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """See `Transform`."""
        has_logarithm = np.zeros(shape, np.bool_)
        has_logarithm[self.places] = True
        logarithms = graph.node("Log", [graph.node("Add", [x, graph.constant(1.0, exact=True)])])
        return graph.node("Where", [graph.constant(has_logarithm), logarithms, x])


def _check_columns(places: Places, shape: Shape) -> None:
    if len(shape) != 1:
        raise FigureError("places", f"columns of a table are needed, but a sample has shape {shape}")
    check_places("places", places, shape[0])


def _bounds_text(low: float, high: float) -> str:
    bounds = [f"{name}: {bound}" for name, bound in (("min", low), ("max", high)) if abs(bound) != LIMIT]
    return f"{{{', '.join(bounds)}}}"
