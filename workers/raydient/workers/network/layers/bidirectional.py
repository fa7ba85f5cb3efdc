"""Two recurrent layers over a sequence, one in each direction."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raydient.spec import recurrent as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .gru import Gru
from .layer import Buffers, Layer, Memory, Pass, Shape, Views
from .lstm import Lstm
from .recurrent import Recurrent

CELLS: dict[str, type[Recurrent]] = {"lstm": Lstm, "gru": Gru}
DIRECTIONS = ("forward", "backward")
ONNX_MERGES = {"sum": "Add", "ave": "Mean", "mul": "Mul"}


class Bidirectional(Layer):
    """y = merge(a, b): a from a layer that takes the steps in their order, b from one that takes them from the last on.

    Schuster and Paliwal (1997). Both are at the places of the inputs: with `return_sequences`, b at a place has read
    all places from there on. `merge_mode` is concat along the features, or sum, ave or mul value by value.
    """

    kind = "bidirectional"
    takes_mask = True
    masked_by = slice(1)
    inputs = (1, 2)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Bidirectional) -> None:
        super().__init__(name, input_shapes, settings)
        self._mode = settings.merge_mode.kind
        cell = CELLS[settings.layer.kind]
        self._layers = tuple(cell(f"{name}/{way}", input_shapes, settings.layer.value) for way in DIRECTIONS)
        self._layers[1].is_reversed = True
        *places, self._units = self._layers[0].output_shape
        self.output_shape = (*places, 2 * self._units if self._mode == "concat" else self._units)
        self.parameters = tuple(
            replace(p, name=f"{way}_{p.name}")
            for way, layer in zip(DIRECTIONS, self._layers, strict=True)
            for p in layer.parameters
        )
        self.operations = sum(layer.operations for layer in self._layers)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.Bidirectional) -> str | None:
        return CELLS[settings.layer.kind].shape_problem(input_shapes, settings.layer.value)

    def saved(self, rows: int) -> Memory:
        """Arrays of both layers under the names of their directions, and their outputs if these are no parts of y."""
        pairs = zip(DIRECTIONS, self._layers, strict=True)
        memory = {f"{way}_{name}": kept for way, layer in pairs for name, kept in layer.saved(rows).items()}
        outputs: Memory = dict.fromkeys(DIRECTIONS, ((rows, *self.output_shape), None))
        return memory if self._mode == "concat" else {**memory, **outputs}

    def work(self, rows: int) -> Memory:
        """Arrays that each layer uses in turn; dx, dy: derivatives of the second layer."""
        dx: Memory = {"dx": ((rows, *self.input_shape), None)}
        dy: Memory = {"dy": ((rows, *self.output_shape), None)} if self._mode == "mul" else {}
        return {**self._layers[0].work(rows), **dx, **dy}

    def _halves(self, values: Floats) -> tuple[Floats, Floats]:
        return values[..., : self._units], values[..., self._units :]

    def _outputs(self, buffers: Buffers) -> tuple[Floats, Floats]:
        if self._mode == "concat":
            return self._halves(buffers.y)
        return buffers.saved["forward"], buffers.saved["backward"]

    def _part(self, buffers: Buffers, direction: int, dy: Floats, dxs: tuple[Floats | None, ...]) -> Buffers:
        """The arrays of one of the layers."""
        layer, way = self._layers[direction], DIRECTIONS[direction]
        saved = {name: buffers.saved[f"{way}_{name}"] for name in layer.saved(0)}
        y = self._outputs(buffers)[direction]
        return Buffers(buffers.xs, y, dy, dxs, buffers.scratch, saved, buffers.work)

    def _views(self, views: Views, direction: int) -> Views:
        way = DIRECTIONS[direction]
        return Views({p.name: views.parts[f"{way}_{p.name}"] for p in self._layers[direction].parameters})

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        for direction, layer in enumerate(self._layers):
            part = self._part(buffers, direction, buffers.dy, buffers.dxs)
            layer.forward(part, self._views(weights, direction), pass_)
        a, b = self._outputs(buffers)
        if self._mode == "mul":
            np.multiply(a, b, out=buffers.y)
        elif self._mode != "concat":
            np.add(a, b, out=buffers.y)
            if self._mode == "ave":
                np.multiply(buffers.y, 0.5, out=buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        dx, *dmask = buffers.dxs
        other = None if dx is None else buffers.work["dx"]
        for direction, (layer, dy) in enumerate(zip(self._layers, self._output_gradients(buffers), strict=True)):
            part = self._part(buffers, direction, dy, (other if direction else dx, *dmask))
            layer.backward(part, self._views(weights, direction), self._views(gradients, direction))
        if dx is not None and other is not None:
            np.add(dx, other, out=dx)

    def _output_gradients(self, buffers: Buffers) -> tuple[Floats, Floats]:
        """The derivatives by the outputs of both layers."""
        dy = buffers.dy
        if self._mode == "concat":
            return self._halves(dy)
        if self._mode == "mul":
            a, b = self._outputs(buffers)
            np.multiply(dy, a, out=buffers.work["dy"])
            return np.multiply(dy, b, out=dy), buffers.work["dy"]
        if self._mode == "ave":
            np.multiply(dy, 0.5, out=dy)
        return dy, dy

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        outputs = []
        for way, layer in zip(DIRECTIONS, self._layers, strict=True):
            with graph.part(f"{way}_"):
                outputs.append(layer.to_onnx(graph, xs))
        if self._mode == "concat":
            return graph.node("Concat", outputs, axis=-1)
        return graph.node(ONNX_MERGES[self._mode], outputs)
