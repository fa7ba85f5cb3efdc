"""Multi-head attention: each place of a sequence reads a weighted mean of the values of all places."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from raydient.spec import attention as spec
from raydient.steps.arrays import Floats
from raydient.workers.network.onnx_graph import OnnxGraph

from .dropout import draw_factors
from .layer import Buffers, Layer, Memory, ParameterRule, Pass, Shape, Views, blocks, learned

BLOCK = 1 << 16
"""Scores of a block of samples: 256 KiB in float32, which stay in the cache."""
HIDDEN = -1e30
"""Added to the scores of hidden places, so that their exponentials are 0."""


class MultiHeadAttention(Layer):
    """For each of H heads C = P V with P = softmax(Q Kᵀ / √d) along the last axis; y = (C of all heads) O (Vaswani et
    al. 2017).

    Q, K and V are inputs times a kernel plus a bias: Q (T, d) of the first input, (T, features), and K and V (S, d) of
    the second, (S, features), or of the first in self-attention. With `causal`, place t attends to places 0 to t. A
    last input of shape (S) is a mask: places where it is 0 are hidden from all others. A place that sees none has
    C = 0; Keras gives it the mean of all values.

    With `dropout`, P is multiplied in training by m, which is 0 with that probability, else 1 / (1 - dropout).

    P is saved as E = exp(scores - their maximum) and 1 / Σ E, which multiplies the rows of C, because they are shorter
    than those of E. The derivative by the scores is P · (dP - Σ P · dP) with dP = m · dC Vᵀ. Σ_s P · dP = Σ_d C · dC, a
    sum over fewer values (Dao et al. 2022).
    """

    kind = "multi_head_attention"
    takes_mask = True
    masked_by = slice(1)
    inputs = (1, 3)

    def __init__(self, name: str, input_shapes: Sequence[Shape], settings: spec.MultiHeadAttention) -> None:
        super().__init__(name, input_shapes, settings)
        self._heads, self._size, self._causal = settings.num_heads, settings.key_dim, settings.causal
        self._rate = settings.dropout
        self._masked = len(self.input_shapes[-1]) == 1
        self._source = len(self.input_shapes) - 1 - self._masked
        (self._queries, features), (self._keys, source) = self.input_shapes[0], self.input_shapes[self._source]
        inner = self._heads * self._size
        self._use_bias = settings.use_bias
        kernel, bias = settings.kernel_initializer, settings.bias_initializer
        kind, penalty = learned(settings.kernel_regularizer), learned(settings.bias_regularizer)
        for part, inputs, outputs in (
            ("query", features, inner),
            ("key", source, inner),
            ("value", source, inner),
            ("output", inner, features),
        ):
            shape = (inputs, outputs)
            self.parameters += (ParameterRule(f"{part}_kernel", shape, kernel, inputs, outputs, kind=kind),)
            if self._use_bias:
                self.parameters += (ParameterRule(f"{part}_bias", (outputs,), bias, inputs, outputs, kind=penalty),)
        projections = 4 * inner * (self._queries * features + self._keys * source)
        self.operations = projections + 4 * inner * self._queries * self._keys

    @classmethod
    def shape_problem(cls, input_shapes: Sequence[Shape], settings: spec.MultiHeadAttention) -> str | None:
        *others, last = input_shapes
        sequences = input_shapes if len(last) == 2 or not others else others
        if len(sequences) > 2 or any(len(shape) != 2 for shape in sequences):
            return "takes sequences of vectors, samples of shape (length, features): one or two, and a mask"
        if len(sequences) < len(input_shapes) and last != sequences[-1][:1]:
            return f"takes as its mask one number for each of the {sequences[-1][0]} places, shape ({sequences[-1][0]})"
        return None

    def saved(self, rows: int) -> Memory:
        queries = (rows, self._queries, self._heads, self._size)
        keys = (rows, self._keys, self._heads, self._size)
        scores = (rows, self._heads, self._queries, self._keys)
        return {
            "query": (queries, None),
            "key": (keys, None),
            "value": (keys, None),
            "context": (queries, None),
            "exponentials": (scores, None),
            "inverse": ((rows, self._heads, self._queries, 1), None),
            **({"kept": (scores, None)} if self._rate else {}),
        }

    def work(self, rows: int) -> Memory:
        scores = (min(rows, self._block), self._heads, self._queries, self._keys)
        return {
            "mask": ((self._queries, self._keys), None),
            "context": ((rows, self._queries, self._heads, self._size), None),
            "scores": (scores, None),
            "sums": ((min(rows, self._block), self._queries, self._heads), None),
            **({"part": ((rows, *self.input_shapes[1]), None)} if self._source else {}),
            **({"hidden": ((rows, 1, 1, self._keys), None)} if self._masked else {}),
            **({"dropped": (scores, None)} if self._rate else {}),
        }

    @property
    def _block(self) -> int:
        return max(1, BLOCK // (self._heads * self._queries * self._keys))

    def forward(self, buffers: Buffers, weights: Views, pass_: Pass) -> None:
        saved, xs = buffers.saved, buffers.xs
        source = xs[self._source]
        for part, x in (("query", xs[0]), ("key", source), ("value", source)):
            self._project(x, weights, part, saved[part])
        np.multiply(saved["query"], 1 / sqrt(self._size), out=saved["query"])
        mask = buffers.work["mask"]
        if self._causal:
            np.greater(np.arange(self._keys), np.arange(self._queries)[:, None], out=mask, casting="unsafe")
            np.multiply(mask, HIDDEN, out=mask)
        if self._masked:
            hidden = buffers.work["hidden"]
            np.equal(xs[-1][:, None, None], 0, out=hidden, casting="unsafe")
            np.multiply(hidden, HIDDEN, out=hidden)
        drops = bool(self._rate) and pass_.training
        if drops:
            draw_factors(pass_.generator(self.name), self._rate, saved["kept"])
        for block in blocks(len(buffers.y), self._block):
            q, k, v, context = (_by_head(saved[part][block]) for part in ("query", "key", "value", "context"))
            scores, row = saved["exponentials"][block], saved["inverse"][block]
            np.matmul(q, k.swapaxes(2, 3), out=scores)
            if self._causal:
                np.add(scores, mask, out=scores)
            if self._masked:
                np.add(scores, hidden[block], out=scores)
            np.max(scores, axis=3, keepdims=True, out=row)
            if self._masked:
                np.maximum(row, HIDDEN / 2, out=row)  # all exponentials are 0 where every place is hidden
            np.subtract(scores, row, out=scores)
            np.exp(scores, out=scores)
            np.sum(scores, axis=3, keepdims=True, out=row)
            if self._masked:
                np.maximum(row, 1, out=row)  # at least 1, the largest exponential, where a place is visible
            np.reciprocal(row, out=row)
            if drops:
                scores = np.multiply(scores, saved["kept"][block], out=buffers.work["dropped"][: len(q)])
            np.matmul(scores, v, out=context)
            np.multiply(context, row, out=context)
        self._project(saved["context"], weights, "output", buffers.y)

    def backward(self, buffers: Buffers, weights: Views, gradients: Views) -> None:
        saved, work, dy = buffers.saved, buffers.work, buffers.dy
        dcontext = work["context"]
        self._parameter_gradients(saved["context"], dy, gradients, "output")
        self._input_gradient(dcontext, dcontext, weights, {"output": dy})
        for block in blocks(len(dy), self._block):
            exponentials, inverse = saved["exponentials"][block], saved["inverse"][block]
            q, k, v = (_by_head(saved[part][block]) for part in ("query", "key", "value"))
            dc, count = _by_head(dcontext[block]), len(q)
            dscores, sums = work["scores"][:count], work["sums"][:count]
            np.multiply(dc, inverse, out=dc)
            np.einsum("nthd,nthd->nth", dcontext[block], saved["context"][block], out=sums)
            np.matmul(dc, v.swapaxes(2, 3), out=dscores)
            weighed = exponentials
            if self._rate:
                np.multiply(dscores, saved["kept"][block], out=dscores)
                weighed = np.multiply(exponentials, saved["kept"][block], out=work["dropped"][:count])
            np.subtract(dscores, sums.transpose(0, 2, 1)[..., None], out=dscores)
            np.multiply(dscores, exponentials, out=dscores)
            # Each derivative overwrites an array that was used for the last time.
            np.matmul(weighed.swapaxes(2, 3), dc, out=v)
            np.matmul(dscores, k, out=dc)
            np.matmul(dscores.swapaxes(2, 3), q, out=k)
        dquery, dkey, dvalue = dcontext, saved["key"], saved["value"]
        np.multiply(dquery, 1 / sqrt(self._size), out=dquery)
        source = buffers.xs[self._source]
        self._parameter_gradients(buffers.xs[0], dquery, gradients, "query")
        self._parameter_gradients(source, dkey, gradients, "key")
        self._parameter_gradients(source, dvalue, gradients, "value")
        parts = {"query": dquery, "key": dkey, "value": dvalue}
        if self._masked and buffers.dxs[-1] is not None:
            buffers.dxs[-1].fill(0)
        if not self._source:
            self._input_gradient(buffers.dx, dy, weights, parts)
        else:
            self._input_gradient(buffers.dxs[0], dy, weights, {"query": dquery})
            self._input_gradient(buffers.dxs[1], work["part"], weights, {"key": dkey, "value": dvalue})

    def _project(self, x: Floats, weights: Views, part: str, y: Floats) -> None:
        kernel = weights[f"{part}_kernel"]
        inputs, outputs = kernel.shape
        y = y.reshape(-1, outputs)
        np.matmul(x.reshape(-1, inputs), kernel, out=y)
        if self._use_bias:
            np.add(y, weights[f"{part}_bias"], out=y)

    def _parameter_gradients(self, x: Floats, dy: Floats, gradients: Views, part: str) -> None:
        """Compute the gradients by kernel and bias of y = x · kernel + bias."""
        kernel = gradients[f"{part}_kernel"]
        inputs, outputs = kernel.shape
        dy = dy.reshape(-1, outputs)
        np.matmul(x.reshape(-1, inputs).T, dy, out=kernel)
        if self._use_bias:
            np.add.reduce(dy, axis=0, out=gradients[f"{part}_bias"])

    def _input_gradient(self, dx: Floats | None, scratch: Floats, weights: Views, parts: dict[str, Floats]) -> None:
        """Compute dx = Σ dy · kernelᵀ over the projections of x; the contents of `scratch`, like dx, are lost."""
        if dx is None:
            return
        into = dx
        for part, dy in parts.items():
            kernel = weights[f"{part}_kernel"]
            inputs, outputs = kernel.shape
            np.matmul(dy.reshape(-1, outputs), kernel.T, out=into.reshape(-1, inputs))
            if into is not dx:
                np.add(dx, into, out=dx)
            into = scratch

    def to_onnx(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        def project(x: str, part: str) -> str:
            y = graph.node("MatMul", [x, graph.parameter(f"{part}_kernel")])
            return graph.node("Add", [y, graph.parameter(f"{part}_bias")]) if self._use_bias else y

        def by_head(x: str, length: int, order: Sequence[int]) -> str:
            shape = graph.constant([0, length, self._heads, self._size])
            return graph.node("Transpose", [graph.node("Reshape", [x, shape])], perm=order)

        q = by_head(project(xs[0], "query"), self._queries, (0, 2, 1, 3))
        k = by_head(project(xs[self._source], "key"), self._keys, (0, 2, 3, 1))
        v = by_head(project(xs[self._source], "value"), self._keys, (0, 2, 1, 3))
        scores = graph.node("Mul", [graph.node("MatMul", [q, k]), graph.constant(1 / sqrt(self._size))])
        visible = self._onnx_visible(graph, xs)
        if visible:
            scores = graph.node("Where", [visible, scores, graph.constant(HIDDEN)])
        weights = graph.node("Softmax", [scores], axis=-1)
        if self._masked:
            weights = graph.node("Where", [visible, weights, graph.constant(0.0)])
        context = graph.node("MatMul", [weights, v])
        context = graph.node("Transpose", [context], perm=(0, 2, 1, 3))
        whole = graph.constant([0, self._queries, self._heads * self._size])
        return project(graph.node("Reshape", [context, whole]), "output")

    def _onnx_visible(self, graph: OnnxGraph, xs: Sequence[str]) -> str:
        """The name of an array that is True where a place attends to another; empty if it would be True everywhere."""
        causal = graph.constant(np.tri(self._queries, self._keys, dtype=np.bool_)) if self._causal else ""
        if not self._masked:
            return causal
        counts = graph.node("Unsqueeze", [graph.node("Cast", [xs[-1]], to=9), graph.constant([1, 2])])  # bool
        return graph.node("And", [counts, causal]) if causal else counts


def _by_head(array: Floats) -> Floats:
    """A view of (samples, length, heads, d) as a matrix for each head, (samples, heads, length, d)."""
    return array.transpose(0, 2, 1, 3)
