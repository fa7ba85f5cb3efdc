"""Imputation: numbers in place of missing values, and indicators of where they were missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from raydient.spec.columns import Impute

from .layers import Shape
from .onnx_graph import DOUBLE, OnnxGraph
from .standardization import mean_of
from .transform import (
    FigureError,
    FitError,
    Floats64,
    Places,
    Settings,
    Texts,
    Transform,
    check_places,
    check_shape,
    check_texts,
)


@dataclass(frozen=True, eq=False)
class Imputation(Transform):
    """NaN → a number, for some features; then an indicator (1 if the value was NaN, else 0) of some of these.

    Attributes:
        places: (k,), indices of the features in a flattened sample, ascending.
        values: (k,), the number for each.
        indicators: (m,), those of `places` that have an indicator; a sample then has one axis, which becomes m longer.
        rules: (k,) or (1,), the option of `spec.columns.Impute` by which each number was computed, or that of all.
    """

    places: Places
    values: Floats64
    indicators: Places
    rules: Texts = field(default_factory=lambda: np.array(["constant"]))

    kind: ClassVar[str] = "imputation"
    types: ClassVar[dict[str, type[Any]]] = {
        "places": np.int64,
        "values": np.float64,
        "indicators": np.int64,
        "rules": np.str_,
    }

    @classmethod
    def fit(
        cls,
        x: NDArray[np.number],
        rules: Mapping[int, Impute],
        indicators: Sequence[int] = (),
        known: Mapping[int, float] = MappingProxyType({}),
    ) -> Self:
        """Compute the numbers from the rows of `x` (n, *shape).

        Args:
            x: samples of any numeric type.
            rules: for each place in a flattened sample, how its number is computed.
            indicators: places that have an indicator.
            known: numbers by place that are not computed.

        Raises:
            FitError: a feature has no value in any row.
        """
        places, flat = sorted(rules), x.reshape(len(x), -1)
        values = np.empty(len(places))
        for i, place in enumerate(places):
            rule = rules[place]
            if rule.constant is not None or place in known:
                values[i] = known[place] if rule.constant is None else rule.constant.value
                continue
            column = flat[:, place].astype(np.float64)
            present = column[~np.isnan(column)]
            if not len(present):
                where = tuple(int(index) for index in np.unravel_index(place, x.shape[1:]))
                text = f"no row of the training part has a value, so there is no {rule.kind.replace('_', ' ')} of them"
                raise FitError(where, f"{text}: leave it out, or impute a constant")
            values[i] = _STATISTICS[rule.kind](present)
        kinds = np.array([rules[place].kind for place in places], np.str_)
        return cls(np.array(places, np.int64), values, np.array(sorted(indicators), np.int64), kinds)

    @property
    def settings(self) -> Settings:
        """See `Transform`."""
        rules = np.broadcast_to(self.rules, self.places.shape).tolist()
        texts = {
            place: f"{{constant: {{value: {value}}}}}" if rule == "constant" else rule
            for place, value, rule in zip(self.places.tolist(), self.values.tolist(), rules, strict=True)
        }
        return {"impute": texts, "indicator": dict.fromkeys(self.indicators.tolist(), "true")}

    @classmethod
    def settings_of(cls, rules: Mapping[int, Impute], indicators: Iterable[int]) -> Settings:
        """Return the settings of the step that `fit` makes."""
        texts = {
            place: f"{{constant: {{value: {rule.constant.value}}}}}" if rule.constant else rule.kind
            for place, rule in rules.items()
        }
        return {"impute": texts, "indicator": dict.fromkeys(indicators, "true")}

    def shape(self, shape: Shape) -> Shape:
        """See `Transform`."""
        return (shape[0] + len(self.indicators),) if len(self.indicators) else shape

    def check(self, shape: Shape) -> None:
        """See `Transform`."""
        check_places("places", self.places, prod(shape))
        check_shape("values", self.values, self.places.shape)
        check_places("indicators", self.indicators, prod(shape))
        if len(self.indicators) and (len(shape) > 1 or not np.isin(self.indicators, self.places).all()):
            raise FigureError("indicators", "places of filled features of a sample of one axis are needed")
        check_texts("rules", self.rules, len(self.places), Impute.model_fields)

    def apply(self, x: Floats64) -> Floats64:
        """See `Transform`."""
        filled = x.reshape(len(x), -1).copy()
        missing = np.isnan(filled)
        filled[:, self.places] = np.where(missing[:, self.places], self.values, filled[:, self.places])
        if not len(self.indicators):
            return filled.reshape(x.shape)
        return np.concatenate([filled, missing[:, self.indicators]], axis=1)

    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """See `Transform`."""
        values = np.full(shape, np.nan)
        values.reshape(-1)[self.places] = self.values
        missing = graph.node("IsNaN", [x])
        filled = graph.node("Where", [missing, graph.constant(values, exact=True), x])
        if not len(self.indicators):
            return filled
        indicated = graph.node("Gather", [missing, graph.constant(self.indicators)], axis=1)
        return graph.node("Concat", [filled, graph.node("Cast", [indicated], to=DOUBLE)], axis=1)


def _median(values: Floats64) -> float:
    """The median; the mean of the two in the middle is computed without their sum, which may be infinite."""
    middle = np.sort(values)[(len(values) - 1) // 2 : len(values) // 2 + 1]
    return float(middle[0] / 2 + middle[-1] / 2 if len(middle) > 1 else middle[0])


def _most_frequent(values: Floats64) -> float:
    distinct, counts = np.unique(values, return_counts=True)
    return float(distinct[counts.argmax()])


_STATISTICS: Mapping[str, Callable[[Floats64], float]] = {
    "mean": mean_of,
    "median": _median,
    "most_frequent": _most_frequent,
}
