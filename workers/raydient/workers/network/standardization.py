"""Standardization: shift each feature to mean 0 and scale it to variance 1, by figures of the training part."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from raydient.spec.columns import Scale
from raydient.steps.arrays import Floats

from .layers import Shape
from .onnx_graph import DOUBLE, FLOAT, OnnxGraph
from .transform import FigureError, FitError, Floats64, Settings, Texts, Transform, check_shape, check_texts

BLOCK_ROWS = 1024
"""Rows that are squared at a time, so that the float64 intermediate stays small."""


@dataclass(frozen=True, eq=False)
class Scaling(Transform):
    """x → (x - mean) / scale for each feature.

    Attributes:
        mean, scale: float64, of one sample's shape; scale is never 0.
        kinds: (features,) or (1,), the option of `spec.columns.Scale` of each feature, or that of all.
    """

    mean: Floats64
    scale: Floats64
    kinds: Texts = field(default_factory=lambda: np.array(["standardize"]))

    kind: ClassVar[str] = "scaling"
    types: ClassVar[dict[str, type[Any]]] = {"mean": np.float64, "scale": np.float64, "kinds": np.str_}

    @classmethod
    def fit(cls, x: NDArray[np.number]) -> "Scaling":
        """Mean and (population) standard deviation over the rows of `x` (n, *shape), n > 0; a constant has scale 1.

        Raises:
            FitError: a feature's values are too far apart, or too close together, for float64.
        """
        low, high = np.asarray(x.min(axis=0), np.float64), np.asarray(x.max(axis=0), np.float64)
        # values are compared because the rounding of a constant's mean would pass for variance
        constant = np.asarray(x.min(axis=0) == x.max(axis=0))
        mean, deviation = _moments(x, np.maximum(np.abs(low), np.abs(high)))
        with np.errstate(over="ignore"):
            too_far = ~np.isfinite(high - low)
        too_close = ~constant & (deviation < np.finfo(np.float64).tiny)
        for wrong, reason in ((too_far, "too far apart"), (too_close, "too close together")):
            if wrong.any():
                place = tuple(int(i) for i in np.argwhere(wrong)[0])
                text = f"its values, {low[place]} to {high[place]}, are {reason} to be standardized in float64"
                raise FitError(place, text)
        return cls(np.where(constant, x[0].astype(np.float64), mean), np.where(constant, 1.0, deviation))

    @classmethod
    def fit_each(cls, x: NDArray[np.number], kinds: Sequence[str]) -> "Scaling":
        """Return the scaling of the features of `x` (n, features), each of a kind of `spec.columns.Scale`.

        min_max: mean and scale are the least value and the range; a constant has scale 1.

        Raises:
            FitError: as `fit`.
        """
        mean, scale = np.zeros(len(kinds)), np.ones(len(kinds))
        for i, kind in enumerate(kinds):
            if kind == "none":
                continue
            try:
                fitted = cls.fit(x[:, i : i + 1])
            except FitError as error:
                raise FitError((i,), str(error)) from None
            mean[i], scale[i] = fitted.mean[0], fitted.scale[0]
            if kind == "min_max":
                low, high = float(x[:, i].min()), float(x[:, i].max())
                mean[i], scale[i] = low, high - low if high > low else 1.0
        return cls(mean, scale, np.array(kinds, np.str_))

    @property
    def settings(self) -> Settings:
        """See `Transform`."""
        return self.settings_of(np.broadcast_to(self.kinds, self.mean.size).tolist())

    @classmethod
    def settings_of(cls, kinds: Sequence[str]) -> Settings:
        """Return the settings of the scaling of features of these kinds."""
        return {"scale": dict(enumerate(kinds))}

    def check(self, shape: Shape) -> None:
        """See `Transform`."""
        check_shape("mean", self.mean, shape)
        check_shape("scale", self.scale, shape)
        if (self.scale <= 0).any():
            raise FigureError("scale", f"{self.scale.min()} is not above 0")
        check_texts("kinds", self.kinds, self.mean.size, Scale.model_fields)

    def apply(self, x: Floats64) -> Floats64:
        """See `Transform`."""
        scaled: Floats64 = (x - self.mean) / self.scale
        return scaled

    def undo(self, x: Floats) -> Floats64:
        """Return the samples (n, *shape) for which `apply` returns `x`, in a new array."""
        restored: Floats64 = x * self.scale + self.mean
        return restored

    def undo_to_onnx(self, graph: OnnxGraph, x: str) -> str:
        """Add the operators of `undo`; `x` and the result are float32, what lies between float64."""
        exact = graph.node("Cast", [x], to=DOUBLE)
        scaled = graph.node("Mul", [exact, graph.constant(self.scale, exact=True)])
        restored = graph.node("Add", [scaled, graph.constant(self.mean, exact=True)])
        return graph.node("Cast", [restored], to=FLOAT)

    def to_onnx(self, graph: OnnxGraph, x: str, shape: Shape) -> str:
        """See `Transform`. float32 would lose digits if the mean is large."""
        shifted = graph.node("Sub", [x, graph.constant(self.mean, exact=True)])
        return graph.node("Div", [shifted, graph.constant(self.scale, exact=True)])


def mean_of(values: Floats64) -> float:
    """Return the mean of some finite numbers, also where their sum exceeds float64."""
    low, high = values.min(), values.max()
    return float(low if low == high else _moments(values, np.maximum(abs(low), abs(high)))[0])


def _moments(x: NDArray[np.number], largest: Floats64) -> tuple[Floats64, Floats64]:
    """Mean and standard deviation of each feature, in two passes; `largest` is the largest magnitude of each.

    Features whose sum or squares could leave the range of float64 are multiplied by a power of two first, which changes
    no digit.
    """
    is_extreme = (largest > 1e100) | ((largest < 1e-100) & (largest > 0))
    if is_extreme.any():
        exponent = np.where(is_extreme, np.frexp(largest)[1], 0)
        mean, deviation = _moments(np.ldexp(x.astype(np.float64), -exponent), np.ldexp(largest, -exponent))
        return np.ldexp(mean, exponent), np.ldexp(deviation, exponent)
    mean = np.asarray(x.mean(axis=0, dtype=np.float64))
    squares = np.zeros_like(mean)
    for start in range(0, len(x), BLOCK_ROWS):
        squares += np.square(x[start : start + BLOCK_ROWS] - mean).sum(axis=0)
    return mean, np.sqrt(squares / len(x))
