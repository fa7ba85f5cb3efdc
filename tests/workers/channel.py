"""A channel for the worker's loop in tests."""

import numpy as np

from raydient.steps.tree import maximal_subtrees


class FakeChannel:
    """A channel that hands out assignments one after another, with weights of 0; what is sent goes nowhere."""

    encoded, travels, pulled, length = None, False, (), None
    nodes = staticmethod(maximal_subtrees)

    def __init__(self, network, terms, slots, assignments):
        self.terms = terms
        self.weights = np.zeros(network.layout.size, np.float32)
        self._slots = [terms.gradient.zeros() for _ in range(slots)]
        self._assignments = iter(assignments)

    def slot(self, index):
        return self._slots[index]

    def wait(self):
        return next(self._assignments, None)

    def send_part(self, round_, node, slot, start):
        pass

    def push(self, round_, node, slot, sums, seconds):
        pass
