"""The contribution of a leaf that makes local steps, from the definition alone; see `naive.naive`."""

from itertools import pairwise

import numpy as np

from raydient.server.parameters.rule import build_rule
from raydient.steps.layout import Learned


class Learner:
    """Makes local steps: w <- w - rate g, on parts of the leaf's rows; contributes the weighted sum of the g."""

    def __init__(self, prepared):
        self._layout = prepared.network.layout
        self.retrain(prepared.spec.training, prepared.schedule)
        kinds = [(p, p.kind) for p in self._layout.parameters]
        self._resting = [p for p, kind in kinds if not isinstance(kind, Learned)]
        self._penalized = [p for p, kind in kinds if isinstance(kind, Learned) and (kind.l1 or kind.l2)]

    def retrain(self, training, rounds):
        """Go on with other settings."""
        self._batch, self._rate = training.batch_size, build_rule(training, rounds).learning_rate

    def __call__(self, gradient, step, weights, rows, leaf, whole):
        count, rate = min(-(-whole // self._batch), len(rows)), self._rate(step)
        bounds = [len(rows) * i // count for i in range(count + 1)]
        share, own, total = len(rows) / whole, weights, np.zeros_like(weights)
        for number, (start, stop) in enumerate(pairwise(bounds)):
            if number:
                own = weights - total * np.float32(rate / share)
                for p in self._penalized:
                    mine = p.view(own)
                    mine -= np.float32(rate) * penalty(p.view(weights), p.kind)
                    p.view(total)[...] += np.float32(share) * penalty(mine, p.kind)
                for p in self._resting:
                    p.view(own)[...] = p.view(weights)
            part = rows[start:stop]
            scale = len(rows) / (len(part) * whole)
            total = gradient(own, part, leaf, scale, number, len(part) * (1.0 / whole)) + total
        return total


def penalty(w, kind):
    """Return the gradient of the penalties."""
    return np.float32(2 * kind.l2) * w + np.float32(kind.l1) * np.sign(w)
