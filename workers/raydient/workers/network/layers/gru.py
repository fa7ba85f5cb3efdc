"""The gated recurrent unit."""

from collections.abc import Sequence

import numpy as np

from raydient.spec import recurrent as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Memory, Pass, Shape, Views
from .recurrent import Recurrent, flat


class Gru(Recurrent):
    """The next state mixes the state with a candidate g (Cho et al. 2014); gates in the order of Keras, z, r, g:

        (z, r) = σ(x K + h' R + b)               h': the previous state
        g = tanh(x K + b + r · (h' R + b'))      with `reset_after`: one product, with a second bias
        g = tanh(x K + (r · h') R + b)           without, as published: a second product
        h = z · h' + (1 - z) · g

    Backward through a step, with dh from the steps after it:

        dz = dh · (h' - g) · z (1 - z)           dg = dh · (1 - z) · (1 - g²)
        dr = dg · (h' R + b') · r (1 - r)        dh' = dh · z + (dz, dr, dg · r) Rᵀ        with `reset_after`
        e = dg Rᵀ, dr = e · h' · r (1 - r)       dh' = dh · z + e · r + (dz, dr) Rᵀ        without

    A skipped step has z = 1, so that h = h' and dh passes back unchanged.
    """

    kind = "gru"
    gates = 3
    carried = 1
    onnx_name = "GRU"
    onnx_order = (0, 1, 2)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Gru) -> None:
        super().__init__(name, input_shapes, settings)
        self.reset_after = settings.reset_after
        self.onnx_attributes = {"linear_before_reset": int(self.reset_after)}
        shape = (2, self.width) if self.reset_after else (self.width,)
        self.parameters += (self.bias(shape, settings),)
        self.operations += self.steps * (2 * self.width + 4 * self.units)

    def saved(self, rows: int) -> Memory:
        """inner: for each step h' R + b' of the candidate; without `reset_after`, r · h'."""
        return {**super().saved(rows), "inner": ((self.steps, rows, self.units), None)}

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        saved, states = buffers.saved, buffers.saved["states"]
        step, parts, part = buffers.work["step"], buffers.work["parts"], buffers.work["part"]
        recurrent, bias = self.by_gate(weights["recurrent_kernel"]), self._biases(weights)
        many = 3 if self.reset_after else 2  # gates that read the state directly
        drops = self.begin(buffers, weights, pass_)
        for t, gates in enumerate(saved["gates"]):
            before, h, inner = states[t], states[t + 1], saved["inner"][t]
            np.add(self.by_gate(gates), bias[0], out=step)
            switches, g = step[:2], step[2]
            z, r = switches
            seen = self.seen(buffers, before) if drops else before
            np.matmul(seen, recurrent[:many], out=parts[:many])
            if self.reset_after:
                np.add(parts, bias[1], out=parts)
            np.add(switches, parts[:2], out=switches)
            _inplace_sigmoid(switches)
            if self.masked:
                np.copyto(z, 1, where=saved["skipped"][t])
            if self.reset_after:
                np.copyto(inner, parts[2])
                np.multiply(r, inner, out=part)
            else:
                np.multiply(r, seen, out=inner)
                np.matmul(inner, recurrent[2], out=part)
            np.add(g, part, out=g)
            np.tanh(g, out=g)
            np.subtract(1, z, out=part)
            np.multiply(part, g, out=part)
            np.multiply(z, before, out=h)
            np.add(h, part, out=h)
            np.copyto(self.by_gate(gates), step)
        self.finish(buffers)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        saved, work = buffers.saved, buffers.work
        states, part, dh, dh_before = saved["states"], work["part"], work["dh"], work["dh_before"]
        step, parts, transposed = work["step"], work["parts"], work["transposed"]
        np.copyto(transposed, self.by_gate(weights["recurrent_kernel"]).transpose(0, 2, 1))
        dh.fill(0)
        for t in reversed(range(self.steps)):
            self.add_dy(buffers, t, dh)
            before, inner, gates = states[t], saved["inner"][t], self.by_gate(saved["gates"][t])
            np.copyto(parts, gates)
            z, r, g = parts
            dz, dr, dg = step
            np.subtract(1, parts, out=step)  # a factor of the slopes of z and r; 1 - z is also a factor of dg
            np.multiply(g, g, out=dg)
            np.subtract(1, dg, out=dg)
            np.multiply(dg, dz, out=dg)
            np.multiply(dg, dh, out=dg)
            np.subtract(before, g, out=part)
            np.multiply(dz, part, out=dz)
            np.multiply(dz, z, out=dz)
            np.multiply(dz, dh, out=dz)
            np.multiply(dh, z, out=dh)
            np.multiply(dr, r, out=dr)
            if self.reset_after:
                np.multiply(dr, inner, out=dr)
                np.multiply(dr, dg, out=dr)
                np.copyto(inner, dg)  # the derivative by the input's part; `gates` keeps that by the state's part
                np.multiply(dg, r, out=dg)
                np.copyto(gates, step)
                np.matmul(step, transposed, out=parts)
                np.add.reduce(parts, axis=0, out=dh_before)
            else:
                np.matmul(dg, transposed[2], out=part)
                np.multiply(dr, part, out=dr)
                np.multiply(dr, self.seen(buffers, before) if self.recurrent_dropout else before, out=dr)
                np.multiply(part, r, out=part)
                np.copyto(gates, step)
                np.matmul(step[:2], transposed[:2], out=parts[:2])
                np.add.reduce(parts[:2], axis=0, out=dh_before)
                np.add(dh_before, part, out=dh_before)
            self.keep(buffers, dh_before)
            np.add(dh_before, dh, out=dh_before)
            dh, dh_before = dh_before, dh
        self._parameter_gradients(buffers, gradients)
        self.input_gradients(buffers, weights, gradients)

    def _parameter_gradients(self, buffers: Buffers, gradients: Views) -> None:
        """Compute the gradients by R and the biases; leave the derivatives by the inputs' part in `gates`."""
        gates, inner, bias = buffers.saved["gates"], buffers.saved["inner"], gradients["bias"]
        candidate = slice(2 * self.units, None)
        self.recurrent_gradient(buffers, gradients)
        if self.reset_after:
            np.add.reduce(gates, axis=(0, 1), out=bias[1])
            np.copyto(gates[..., candidate], inner)
            np.add.reduce(gates, axis=(0, 1), out=bias[0])
        else:
            kernel = gradients["recurrent_kernel"]
            np.matmul(flat(inner).T, flat(gates)[:, candidate], out=kernel[:, candidate])
            np.add.reduce(gates, axis=(0, 1), out=bias)

    def _biases(self, weights: Views) -> Floats:
        """The biases as (1 or 2, gates, 1, units)."""
        return weights["bias"].reshape(-1, self.gates, 1, self.units)

    def onnx_biases(self, graph: OnnxGraph) -> tuple[Floats, Floats]:
        bias = graph.weights("bias")
        return (bias[0], bias[1]) if self.reset_after else (bias, np.zeros_like(bias))

    def onnx_step(self, graph: OnnxGraph, z: str, carried: tuple[str, ...]) -> tuple[str, ...]:
        (before,) = carried

        def gate(values: str, place: int) -> str:
            return self.onnx_gate(graph, values, place)

        product = graph.node("MatMul", [before, graph.parameter("recurrent_kernel")])
        product = graph.node("Add", [product, graph.constant(self.onnx_biases(graph)[1])])
        sums = graph.node("Add", [z, product])
        keep, reset = (graph.node("Sigmoid", [gate(sums, place)]) for place in range(2))
        if self.reset_after:
            inner = graph.node("Mul", [reset, gate(product, 2)])
        else:
            kernel = gate(graph.parameter("recurrent_kernel"), 2)
            inner = graph.node("MatMul", [graph.node("Mul", [reset, before]), kernel])
        candidate = graph.node("Tanh", [graph.node("Add", [gate(z, 2), inner])])
        change = graph.node("Mul", [keep, graph.node("Sub", [before, candidate])])
        return (graph.node("Add", [candidate, change]),)


def _inplace_sigmoid(z: Floats) -> None:
    """Replace z by σ(z) = 1/2 tanh(z / 2) + 1/2, which never overflows."""
    np.multiply(z, 0.5, out=z)
    np.tanh(z, out=z)
    np.multiply(z, 0.5, out=z)
    np.add(z, 0.5, out=z)
