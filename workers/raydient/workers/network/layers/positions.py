"""Positions: vectors that are added to the places of a sequence, so that attention sees their order."""

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.spec import attention as spec
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, ParameterRule, Pass, Shape, Views, learned

DIGITS = 40
"""Decimal digits of the intermediate values of the sines, of which about ten are lost over a million places."""


class _Positions(Layer):
    """y = x + P with x (rows, T, d) and P (T, d); dx = dy."""

    gradient_is_view = True
    masked_by = slice(1)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        super().__init__(name, input_shapes, settings)
        length, width = self.input_shape
        self.operations = length * width

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        return None if len(input_shapes[0]) == 2 else "takes a sequence of vectors per sample, (length, features)"


class PositionEmbedding(_Positions):
    """P is learned; dP = Σ_rows dy (Gehring et al. 2017). KerasHub's layer returns P, for an `add` behind it."""

    kind = "position_embedding"

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.PositionEmbedding) -> None:
        super().__init__(name, input_shapes, settings)
        length, width = self.input_shape
        kind = learned(settings.embeddings_regularizer)
        initializer = settings.embeddings_initializer
        self.parameters = (ParameterRule("embeddings", (length, width), initializer, length, width, kind=kind),)

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        np.add(buffers.x, weights["embeddings"], out=buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        np.add.reduce(buffers.dy, axis=0, out=gradients["embeddings"])

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("Add", [xs[0], graph.parameter("embeddings")])


class SinePositionEncoding(_Positions):
    """P[t, 2i] = sin(t w^(-2i / d)) and P[t, 2i + 1] = cos(t w^(-2i / d)) with w the `max_wavelength`.

    Vaswani et al. (2017). KerasHub's layer returns P, for an `add` behind it.
    """

    kind = "sine_position_encoding"

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.SinePositionEncoding) -> None:
        super().__init__(name, input_shapes, settings)
        self._table = sines(*self.input_shape, settings.max_wavelength)

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        np.add(buffers.x, self._table, out=buffers.y, casting="same_kind")

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """Do nothing: dx is dy."""

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        return graph.node("Add", [xs[0], graph.constant(self._table)])


@lru_cache(maxsize=8)
def sines(length: int, width: int, wavelength: float) -> NDArray[np.float32]:
    """Return the table P of `SinePositionEncoding`, (length, width), read only.

    Computed in decimal arithmetic, which has the same digits on every machine, from one place to the next by the
    addition theorems.
    """
    table = np.empty((length, width), np.float32)
    with localcontext(Context(prec=DIGITS)):
        logarithm = Decimal(wavelength).ln()
        for column in range(0, width, 2):
            sine, cosine = _sine_and_cosine((-logarithm * column / width).exp())
            s, c = Decimal(0), Decimal(1)
            for place in range(length):
                table[place, column : column + 2] = (float(s), float(c))[: width - column]
                s, c = s * cosine + c * sine, c * cosine - s * sine
    table.flags.writeable = False
    return table


def _sine_and_cosine(angle: Decimal) -> tuple[Decimal, Decimal]:
    """Sine and cosine of an angle from 0 to 1, by their series."""
    sums, term = [Decimal(0), Decimal(0)], Decimal(1)
    for n in range(DIGITS):  # 1 / 40! is 1e-48
        sums[n % 2] += term if n % 4 < 2 else -term
        term = term * angle / (n + 1)
    return sums[1], sums[0]
