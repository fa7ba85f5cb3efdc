"""The codec `top_k` from its definition alone; see `naive.naive`."""

import numpy as np

from raydient.steps.layout import Average


class TopK:
    """Returns the values that are sent of a leaf's gradient, and keeps the others in the leaf's residual.

    Attributes:
        residuals: by leaf.
    """

    def __init__(self, prepared, block=256):
        """`block`: values of a block."""
        self._count = max(1, round(block * prepared.spec.exchange.codec.top_k.fraction))
        self._averages = [p for p in prepared.network.layout.parameters if isinstance(p.kind, Average)]
        self._block, self.residuals = block, {}

    def __call__(self, gradient, step, leaf):
        residual = self.residuals.setdefault(leaf, np.zeros_like(gradient))
        values, sent = gradient + residual, np.zeros_like(gradient)
        for average in self._averages:
            average.view(values)[:] = 0
        for begin in range(0, len(values), self._block):
            magnitudes = np.abs(values[begin : begin + self._block])
            first = begin + np.argsort(-magnitudes, kind="stable")[: self._count]
            sent[first], values[first] = values[first], 0
        finite = np.isfinite(values)
        residual[finite] = values[finite]
        for average in self._averages:
            average.view(sent)[:] = average.view(gradient)
        return sent
