"""The mean or the largest value over a whole sequence or image."""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np

from raydient.spec import pooling as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Layer, Memory, Pass, Shape, Views, shape_text
from .windows import SAMPLES_BY_DIMENSIONS


class _GlobalPooling(Layer):
    """A function of each channel of x (rows, places, channels).

    A second input, (places), is a mask of a sequence: places where it is 0 are left out. Where it is 0 everywhere, y is
    0; Keras's average is then 0 / 0.
    """

    dimensions: ClassVar[int]

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.GlobalPooling) -> None:
        super().__init__(name, input_shapes, settings)
        *axes, channels = self.input_shape
        self._places, self._masked = prod(axes), len(self.input_shapes) == 2
        self.output_shape = (channels,)
        self.operations = prod(self.input_shape)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.GlobalPooling) -> str | None:
        x, *mask = input_shapes
        if len(x) != cls.dimensions + 1:
            return f"takes {SAMPLES_BY_DIMENSIONS[cls.dimensions]}: add `reshape` before it"
        if mask and mask[0] != x[:1]:
            return f"takes as its mask one number for each of the {x[0]} places, shape {shape_text(x[:1])}"
        return None

    def _by_place(self, values: Floats) -> Floats:
        return values.reshape(len(values), self._places, -1)

    def _onnx_counts(self, graph: OnnxGraph, mask: str) -> str:
        """The mask as numbers, 1 for a place that counts."""
        return graph.node("Cast", [graph.node("Cast", [mask], to=9)], to=1)  # bool, float32


def _clear(derivatives: Sequence[Floats | None]) -> None:
    """Set the derivatives by masks to 0."""
    for derivative in derivatives:
        if derivative is not None:
            derivative.fill(0)


class GlobalAveragePooling(_GlobalPooling):
    """y = the mean of each channel of x (rows, places, channels); dx is dy / places at each place.

    With a mask m of 0 and 1, y = w · x and dx = wᵀ dy with w = m / max(1, Σ m).
    """

    def saved(self, rows: int) -> Memory:
        """weights: w, (rows, 1, places)."""
        return {"weights": ((rows, 1, self._places), None)} if self._masked else {}

    def work(self, rows: int) -> Memory:
        """count: Σ m."""
        return {"count": ((rows, 1, 1), None)} if self._masked else {}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        x, y = self._by_place(buffers.x), buffers.y
        if self._masked:
            w, count = buffers.saved["weights"], buffers.work["count"]
            np.not_equal(buffers.xs[1], 0, out=w[:, 0], casting="unsafe")
            np.add.reduce(w, axis=2, keepdims=True, out=count)
            np.maximum(count, 1, out=count)
            np.divide(w, count, out=w)
            np.matmul(w, x, out=y[:, np.newaxis])
            return
        np.add.reduce(x, axis=1, out=y)
        np.multiply(y, 1 / self._places, out=y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        _clear(buffers.dxs[1:])
        if (dx := buffers.dxs[0]) is not None:
            factor = buffers.saved["weights"].transpose(0, 2, 1) if self._masked else 1 / self._places
            np.multiply(buffers.dy[:, np.newaxis], factor, out=self._by_place(dx))

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        if self._masked:
            counts = self._onnx_counts(graph, xs[1])
            count = graph.node("ReduceSum", [counts, graph.constant([1])], keepdims=1)
            w = graph.node("Div", [counts, graph.node("Max", [count, graph.constant(1.0)])])
            w = graph.node("Unsqueeze", [w, graph.constant([1])])
            return graph.node("Squeeze", [graph.node("MatMul", [w, xs[0]]), graph.constant([1])])
        axes = graph.constant(list(range(1, self.dimensions + 1)))
        return graph.node("ReduceMean", [xs[0], axes], keepdims=0)


class GlobalAveragePooling1d(GlobalAveragePooling):
    inputs = (1, 2)
    takes_mask = True
    kind = "global_average_pooling1d"
    dimensions = 1


class GlobalAveragePooling2d(GlobalAveragePooling):
    kind = "global_average_pooling2d"
    dimensions = 2


class GlobalMaxPooling(_GlobalPooling):
    """y = the largest value of each channel of x (rows, places, channels); dx is dy at its place, 0 elsewhere.

    Of equal values the first counts. Keras's layer takes no mask.
    """

    def saved(self, rows: int) -> Memory:
        """visible: True at the places that count."""
        return {"visible": ((rows, self._places, 1), np.bool_)} if self._masked else {}

    def work(self, rows: int) -> Memory:
        """waiting: True until the place of the largest value is passed; largest: True at that place.

        With a mask, x: the input with -∞ at hidden places; empty: True where every place is hidden.
        """
        channels = (rows, *self.output_shape)
        memory: Memory = {"waiting": (channels, np.bool_), "largest": (channels, np.bool_)}
        if not self._masked:
            return memory
        places = {"hidden": ((rows, self._places, 1), np.bool_), "x": ((rows, *self.input_shape), None)}
        return {**memory, **places, "empty": ((rows, 1), np.bool_)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        x, work = self._by_place(buffers.x), buffers.work
        if self._masked:
            visible, hidden, empty = buffers.saved["visible"], work["hidden"], work["empty"]
            np.not_equal(buffers.xs[1], 0, out=visible[..., 0])
            np.logical_not(visible, out=hidden)
            np.copyto(work["x"], x)
            np.copyto(work["x"], -np.inf, where=hidden)
            np.maximum.reduce(work["x"], axis=1, out=buffers.y)
            np.logical_and.reduce(hidden, axis=1, out=empty)
            np.copyto(buffers.y, 0, where=empty)
            return
        np.maximum.reduce(x, axis=1, out=buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        _clear(buffers.dxs[1:])
        if buffers.dxs[0] is None:
            return
        waiting, largest = buffers.work["waiting"], buffers.work["largest"]
        x, dx = self._by_place(buffers.xs[0]), self._by_place(buffers.dxs[0])
        waiting.fill(True)
        for place in range(self._places):
            np.equal(x[:, place], buffers.y, out=largest)
            if self._masked:
                np.logical_and(largest, buffers.saved["visible"][:, place], out=largest)
            np.logical_and(largest, waiting, out=largest)
            np.multiply(buffers.dy, largest, out=dx[:, place])
            np.logical_xor(waiting, largest, out=waiting)

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        if self._masked:
            counts = self._onnx_counts(graph, xs[1])
            visible = graph.node("Unsqueeze", [graph.node("Cast", [counts], to=9), graph.constant([2])])
            hidden = graph.node("Where", [visible, xs[0], graph.constant(-np.inf)])
            largest = graph.node("ReduceMax", [hidden, graph.constant([1])], keepdims=0)
            some = graph.node("Cast", [graph.node("ReduceMax", [counts, graph.constant([1])], keepdims=1)], to=9)
            return graph.node("Where", [some, largest, graph.constant(0.0)])
        axes = graph.constant(list(range(1, self.dimensions + 1)))
        return graph.node("ReduceMax", [xs[0], axes], keepdims=0)


class GlobalMaxPooling1d(GlobalMaxPooling):
    inputs = (1, 2)
    takes_mask = True
    kind = "global_max_pooling1d"
    dimensions = 1


class GlobalMaxPooling2d(GlobalMaxPooling):
    kind = "global_max_pooling2d"
    dimensions = 2
