"""The base class of recurrent layers: sequences with time as the first axis, and steps that a mask skips."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from raydient.steps.arrays import AnyArray, Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .dropout import draw_factors
from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, learned, shape_text


class Recurrent(Layer):
    """A layer with a state h, 0 at first, that each step computes from the previous state and the input of the step.

    Inputs are x (rows, steps, features) and optionally a mask (rows, steps). Where the mask is 0, the row skips the
    step and keeps its state, so that sequences of several lengths fit in one array, with padding anywhere. The output
    is h after each step, (rows, steps, units), or after the last, (rows, units).

    Internally time is the first axis, so that a step is contiguous. K (features, gates · units) is multiplied with the
    inputs of all steps before the loop. R is used as (gates, units, units) in each step: BLAS computes the small
    products a third faster than one large one, and each gate is contiguous. Backward replaces the gates of every step
    by the derivatives by them; after the loop the gradients by K, R and the bias are one product or sum over all steps
    (backpropagation through time, Werbos 1990).

    With `recurrent_dropout`, R is multiplied in training with m · h instead of h, where m is 0 with that probability
    and else 1 / (1 - recurrent_dropout): drawn once for a sample, for all steps and gates (Gal and Ghahramani 2016,
    tied weights; Keras draws an m for each gate).
    """

    inputs = (1, 2)
    takes_mask = True
    masked_by = slice(1)
    gates: ClassVar[int]
    """Number of gates: blocks of `units` columns in the kernels."""
    carried: ClassVar[int]
    """Number of vectors that a step passes to the next."""
    onnx_name: ClassVar[str]
    onnx_order: ClassVar[tuple[int, ...]]
    """For each gate in the order of ONNX, its index here."""
    onnx_attributes: Mapping[str, int | str] = MappingProxyType({})
    is_reversed = False
    """True if the steps are taken from the last to the first. The output stays at the places of the inputs."""

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: Any) -> None:
        super().__init__(name, input_shapes, settings)
        (self.steps, self.features), self.units = self.input_shape, settings.units
        self.return_sequences = settings.return_sequences
        self.recurrent_dropout = settings.recurrent_dropout
        self.masked = len(self.input_shapes) == 2
        self.output_shape = (self.steps, self.units) if self.return_sequences else (self.units,)
        self.width = self.gates * self.units
        self.parameters = (
            self._kernel("kernel", self.features, settings.kernel_initializer, settings.kernel_regularizer),
            self._kernel(
                "recurrent_kernel", self.units, settings.recurrent_initializer, settings.recurrent_regularizer
            ),
        )
        self.operations = self.steps * 2 * (self.features + self.units) * self.width

    def _kernel(self, name: str, rows: int, initializer: Any, penalty: Any) -> ParameterRule:
        return ParameterRule(name, (rows, self.width), initializer, rows, self.width, kind=learned(penalty))

    def bias(self, shape: Shape, settings: Any) -> ParameterRule:
        """The rule of a bias of this shape."""
        kind = learned(settings.bias_regularizer)
        return ParameterRule("bias", shape, settings.bias_initializer, self.features, self.width, kind=kind)

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: Any) -> str | None:
        x, *mask = input_shapes
        if len(x) != 2:
            return "takes a sequence of vectors per sample, (steps, features)"
        if mask and mask[0] != x[:1]:
            return f"takes as its mask one number for each of the {x[0]} steps, shape {shape_text(x[:1])}"
        return None

    def saved(self, rows: int) -> Memory:
        """gates: by step; states: before each step, and the last; skipped: True where the mask is 0; kept: m."""
        skipped: Memory = {"skipped": ((self.steps, rows, 1), np.bool_)} if self.masked else {}
        kept: Memory = {"kept": ((rows, self.units), None)} if self.recurrent_dropout else {}
        return {
            "gates": ((self.steps, rows, self.width), None),
            "states": ((self.steps + 1, rows, self.units), None),
            **skipped,
            **kept,
        }

    def work(self, rows: int) -> Memory:
        """x: the input, time first, later the derivative by it; step, parts: like the gates of one step; transposed:
        the transpose of each gate's part of R, contiguous for the backward loop.
        """
        state, gates = (rows, self.units), (self.gates, rows, self.units)
        return {
            "x": ((self.steps, rows, self.features), None),
            "step": (gates, None),
            "parts": (gates, None),
            "part": (state, None),
            "dh": (state, None),
            "dh_before": (state, None),
            "transposed": ((self.gates, self.units, self.units), None),
            **({"dropped": (state, None)} if self.recurrent_dropout else {}),
        }

    def by_gate(self, values: Floats) -> Floats:
        """A view of (n, gates · units) as (gates, n, units)."""
        return values.reshape(len(values), self.gates, self.units).transpose(1, 0, 2)

    def in_order(self, by_step: AnyArray) -> AnyArray:
        """A view of an array whose first axis is time, in the order of the steps, or back."""
        return by_step[::-1] if self.is_reversed else by_step

    def begin(self, buffers: Buffers, weights: Views, pass_: Pass) -> bool:
        """Fill `gates` with x K, set the first state to 0, find the skipped steps and draw the dropped values.

        Returns:
            True if values of the state are dropped in this pass; see `seen`.
        """
        x, gates = buffers.work["x"], buffers.saved["gates"]
        np.copyto(x, self.in_order(buffers.xs[0].transpose(1, 0, 2)))
        np.matmul(flat(x), weights["kernel"], out=flat(gates))
        buffers.saved["states"][0].fill(0)
        if self.masked:
            np.equal(self.in_order(buffers.xs[1].T), 0, out=buffers.saved["skipped"][..., 0])
        drops = pass_.training and self.recurrent_dropout > 0
        if drops:
            draw_factors(pass_.generator(self.name), self.recurrent_dropout, buffers.saved["kept"])
        return drops

    def seen(self, buffers: Buffers, before: Floats) -> Floats:
        """The previous state as R is multiplied with it, m · h; an array that the next call overwrites."""
        return np.multiply(before, buffers.saved["kept"], out=buffers.work["dropped"])

    def keep(self, buffers: Buffers, derivative: Floats) -> None:
        """Multiply the derivative by m · h by m, in place; it becomes the derivative by h."""
        if self.recurrent_dropout:
            np.multiply(derivative, buffers.saved["kept"], out=derivative)

    def finish(self, buffers: Buffers) -> None:
        """Fill y from the states."""
        states = buffers.saved["states"]
        whole = self.in_order(states[1:]).transpose(1, 0, 2)
        np.copyto(buffers.y, whole if self.return_sequences else states[-1])

    def add_dy(self, buffers: Buffers, step: int, dh: Floats) -> None:
        """Add the derivative by the output of a step to dh, the derivative by the state after that step."""
        if self.return_sequences:
            place = self.steps - 1 - step if self.is_reversed else step
            np.add(dh, buffers.dy[:, place], out=dh)
        elif step == self.steps - 1:
            np.add(dh, buffers.dy, out=dh)

    def input_gradients(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        """Compute the gradient by K, and dx, from the derivatives in `gates`."""
        x, dz = buffers.work["x"], flat(buffers.saved["gates"])
        np.copyto(x, self.in_order(buffers.xs[0].transpose(1, 0, 2)))
        np.matmul(flat(x).T, dz, out=gradients["kernel"])
        dx = buffers.dxs[0]
        if dx is not None:
            np.matmul(dz, weights["kernel"].T, out=flat(x))
            np.copyto(dx, self.in_order(x).transpose(1, 0, 2))
        for dmask in buffers.dxs[1:]:
            if dmask is not None:
                dmask.fill(0)

    def recurrent_gradient(self, buffers: Buffers, gradients: Views) -> None:
        """Compute the gradient by R from the derivatives in `gates`."""
        states = buffers.saved["states"][:-1]
        self.keep(buffers, states)  # m · h, which takes the place of h, because this is the last use of the states
        before = flat(states)
        np.matmul(before.T, flat(buffers.saved["gates"]), out=gradients["recurrent_kernel"])

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        """Add one operator or, with a mask, the steps one by one, because the operators cannot skip steps."""
        return self._onnx_steps(graph, xs) if self.masked else self._onnx_operator(graph, xs[0])

    @abstractmethod
    def onnx_biases(self, graph: OnnxGraph) -> tuple[Floats, Floats]:
        """Biases of the product with the inputs and of the product with the state, (gates · units) each."""

    @abstractmethod
    def onnx_step(self, graph: OnnxGraph, z: str, carried: tuple[str, ...]) -> tuple[str, ...]:
        """Add a step: return the vectors for the next step, h first.

        Args:
            graph: the graph.
            z: product of the inputs of the step with K, with its bias.
            carried: vectors from the previous step.
        """

    def _onnx_operator(self, graph: OnnxGraph, x: str) -> str:
        def arranged(values: Floats) -> Floats:
            """Return (..., gates · units) with the gates in ONNX's order, as (1, gates · units, ...)."""
            blocks = values.reshape(-1, self.gates, self.units)[:, self.onnx_order]
            return blocks.reshape(-1, self.width).T[np.newaxis]

        kernels = [graph.constant(arranged(graph.weights(name))) for name in ("kernel", "recurrent_kernel")]
        bias = graph.constant(np.concatenate([arranged(bias)[..., 0] for bias in self.onnx_biases(graph)], axis=1))
        inputs = [graph.node("Transpose", [x], perm=[1, 0, 2]), *kernels, bias]
        attributes = {"hidden_size": self.units, **self.onnx_attributes}
        if self.is_reversed:
            attributes["direction"] = "reverse"
        if not self.return_sequences:
            return graph.node(
                "Squeeze", [graph.node(self.onnx_name, inputs, output=1, **attributes), graph.constant([0])]
            )
        states = graph.node("Squeeze", [graph.node(self.onnx_name, inputs, **attributes), graph.constant([1])])
        return graph.node("Transpose", [states], perm=[1, 0, 2])

    def _onnx_steps(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        products = graph.node("MatMul", [xs[0], graph.parameter("kernel")])
        products = graph.node("Add", [products, graph.constant(self.onnx_biases(graph)[0])])
        counts = graph.node("Cast", [xs[1]], to=9)  # bool
        carried = (graph.constant(np.zeros((1, self.units))),) * self.carried
        states = []
        for t in self.in_order(np.arange(self.steps)).tolist():
            z = graph.node("Gather", [products, graph.constant(t)], axis=1)
            counted = graph.node("Gather", [counts, graph.constant([t])], axis=1)
            new = self.onnx_step(graph, z, carried)
            carried = tuple(graph.node("Where", [counted, a, b]) for a, b in zip(new, carried, strict=True))
            states.append(carried[0])
        if not self.return_sequences:
            return states[-1]
        at_places = states[::-1] if self.is_reversed else states
        return graph.node("Concat", [graph.node("Unsqueeze", [h, graph.constant([1])]) for h in at_places], axis=1)

    def onnx_gate(self, graph: OnnxGraph, z: str, gate: int) -> str:
        """The columns of one gate of (rows, gates · units)."""
        bounds = [graph.constant([k * self.units]) for k in (gate, gate + 1)]
        return graph.node("Slice", [z, *bounds, graph.constant([1])])


def flat(x: Floats) -> Floats:
    """A view of (steps, rows, n) as (steps · rows, n)."""
    return x.reshape(-1, x.shape[-1])
