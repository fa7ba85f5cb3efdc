"""Long short-term memory."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raydient.spec import recurrent as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .layer import Buffers, Memory, Pass, Shape, Views
from .recurrent import Recurrent


class Lstm(Recurrent):
    """A cell c with an input gate i, an output gate o (Hochreiter and Schmidhuber 1997) and a forget gate f (Gers,
    Schmidhuber and Cummins 2000). The gates are in the order of Keras, i, f, g, o:

        (i, f, g, o) = (σ, σ, tanh, σ)(x K + h' R + b)       h', c': of the previous step
        c = f · c' + i · g
        h = o · tanh(c)

    Backward through a step, with dh and dc from the steps after it:

        do = dh · tanh(c)       dc += dh · o · (1 - tanh²(c))
        di = dc · g             df = dc · c'       dg = dc · i
        dz = (di · i (1 - i), df · f (1 - f), dg · (1 - g²), do · o (1 - o))
        dh' = dz Rᵀ             dc' = dc · f

    Along c the derivative is multiplied only by f, not by a matrix, so it need not vanish. The bias of f begins at 1.

    A skipped step has the gates (0, 1, 0, 0), so that c = c' and only dc passes back. h and dh bypass the step.
    """

    kind = "lstm"
    gates = 4
    carried = 2
    onnx_name = "LSTM"
    onnx_order = (0, 3, 1, 2)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.Lstm) -> None:
        super().__init__(name, input_shapes, settings)
        forget = (self.units, 2 * self.units) if settings.unit_forget_bias else (0, 0)
        self.parameters += (replace(self.bias((self.width,), settings), ones=forget),)
        self.operations += self.steps * (self.width + 4 * self.units)

    def saved(self, rows: int) -> Memory:
        """cells: before each step, and the last. Backward recomputes their tanh, which takes a hundredth of the time of
        a step and saves a seventh of the memory.
        """
        return {**super().saved(rows), "cells": ((self.steps + 1, rows, self.units), None)}

    def work(self, rows: int) -> Memory:
        return {
            **super().work(rows),
            "scale": ((self.gates, 1, 1), None),
            "shift": ((self.gates, 1, 1), None),
            "dc": ((rows, self.units), None),
            "squashed": ((rows, self.units), None),
        }

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        saved, work = buffers.saved, buffers.work
        states, cells = saved["states"], saved["cells"]
        step, part, scale, shift = work["step"], work["part"], work["scale"], work["shift"]
        recurrent, bias = self.by_gate(weights["recurrent_kernel"]), self.by_gate(weights["bias"][np.newaxis])
        # With σ(z) = 1/2 tanh(z / 2) + 1/2 all gates are one call of tanh, which never overflows.
        scale.fill(0.5)
        scale[2] = 1
        np.subtract(1, scale, out=shift)
        drops = self.begin(buffers, weights, pass_)
        cells[0].fill(0)
        for t, gates in enumerate(saved["gates"]):
            z = self.by_gate(gates)
            np.matmul(self.seen(buffers, states[t]) if drops else states[t], recurrent, out=step)
            np.add(step, z, out=step)
            np.add(step, bias, out=step)
            np.multiply(step, scale, out=step)
            np.tanh(step, out=step)
            np.multiply(step, scale, out=step)
            np.add(step, shift, out=step)
            i, f, g, o = step
            if self.masked:
                np.copyto(f, 1, where=saved["skipped"][t])
                for gate in (i, g, o):
                    np.copyto(gate, 0, where=saved["skipped"][t])
            h, c = states[t + 1], cells[t + 1]
            np.multiply(f, cells[t], out=c)
            np.multiply(i, g, out=part)
            np.add(c, part, out=c)
            np.tanh(c, out=part)
            np.multiply(o, part, out=h)
            if self.masked:
                np.copyto(h, states[t], where=saved["skipped"][t])
            np.copyto(z, step)
        self.finish(buffers)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        saved, work = buffers.saved, buffers.work
        cells, squashed, dc, part = saved["cells"], work["squashed"], work["dc"], work["part"]
        step, parts, dh, dh_before = work["step"], work["parts"], work["dh"], work["dh_before"]
        transposed = work["transposed"]
        np.copyto(transposed, self.by_gate(weights["recurrent_kernel"]).transpose(0, 2, 1))
        dh.fill(0)
        dc.fill(0)
        for t in reversed(range(self.steps)):
            self.add_dy(buffers, t, dh)
            gates = self.by_gate(saved["gates"][t])
            np.copyto(parts, gates)
            np.tanh(cells[t + 1], out=squashed)
            i, f, g, o = parts
            di, df, dg, do = step
            # The slopes σ (1 - σ) and 1 - tanh², then each times the derivative from the steps after this one.
            np.subtract(1, parts, out=step)
            np.multiply(step, parts, out=step)
            np.multiply(g, g, out=dg)
            np.subtract(1, dg, out=dg)
            np.multiply(do, dh, out=do)
            np.multiply(do, squashed, out=do)
            np.multiply(squashed, squashed, out=part)
            np.subtract(1, part, out=part)
            np.multiply(part, o, out=part)
            np.multiply(part, dh, out=part)
            np.add(dc, part, out=dc)
            np.multiply(g, dc, out=g)
            np.multiply(i, dc, out=i)
            np.multiply(cells[t], dc, out=part)
            np.multiply(dc, f, out=dc)
            np.multiply(di, g, out=di)
            np.multiply(dg, i, out=dg)
            np.multiply(df, part, out=df)
            np.copyto(gates, step)
            np.matmul(step, transposed, out=parts)
            np.add.reduce(parts, axis=0, out=dh_before)
            self.keep(buffers, dh_before)
            if self.masked:
                np.copyto(dh_before, dh, where=saved["skipped"][t])
            dh, dh_before = dh_before, dh
        self.recurrent_gradient(buffers, gradients)
        np.add.reduce(saved["gates"], axis=(0, 1), out=gradients["bias"])
        self.input_gradients(buffers, weights, gradients)

    def onnx_biases(self, graph: OnnxGraph) -> tuple[Floats, Floats]:
        bias = graph.weights("bias")
        return bias, np.zeros_like(bias)

    def onnx_step(self, graph: OnnxGraph, z: str, carried: tuple[str, ...]) -> tuple[str, ...]:
        h, c = carried
        z = graph.node("Add", [z, graph.node("MatMul", [h, graph.parameter("recurrent_kernel")])])
        functions = ("Sigmoid", "Sigmoid", "Tanh", "Sigmoid")
        i, f, g, o = (graph.node(name, [self.onnx_gate(graph, z, k)]) for k, name in enumerate(functions))
        c = graph.node("Add", [graph.node("Mul", [f, c]), graph.node("Mul", [i, g])])
        return graph.node("Mul", [o, graph.node("Tanh", [c])]), c
