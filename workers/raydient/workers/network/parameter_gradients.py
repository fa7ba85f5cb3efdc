"""Gradients by parameters that are shared, moving averages or frozen: the rules beside the chain rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raydient.steps.gradient import Dense, Part
from raydient.steps.layout import Average, Frozen
from raydient.steps.sparse import RowSparse

from .graph import Network, Node
from .layers import Views


class ParameterGradients:
    """The rules for gradients by parameters that a program applies after the chain rule.

    - Nodes that share parameters: the gradient is the sum over the nodes, because a parameter acts on the loss through
      each of them. The first node of the backward pass writes to the gradient itself, the others to arrays of their
      own, `repeated`, which are added to it.
    - Moving averages have no gradient. In its place a node writes the statistic of the microbatch, which is weighted
      with the microbatch's share of the batch, so that the statistics of all microbatches add up to their mean.
    - The gradient by a frozen parameter is 0.

    Attributes:
        repeated: arrays for the gradients of nodes that are not the first to use their parameters, by place.
    """

    def __init__(self, network: Network, backward_order: Sequence[int], dtype: np.dtype[Any]) -> None:
        nodes = network.nodes
        first: dict[int, int] = {}
        for place in backward_order:
            first.setdefault(nodes[place].owner, place)
        later = [place for place in backward_order if first[nodes[place].owner] != place]
        self.repeated: Mapping[int, Views] = {place: _zeros(nodes[place], dtype) for place in later}
        owners = [node.owner for node in nodes]
        kinds = [(place, p.name, p.kind) for place in sorted(set(owners)) for p in nodes[place].layer.parameters]
        self._averages = [(place, n, owners.count(place)) for place, n, kind in kinds if isinstance(kind, Average)]
        self._frozen = [(place, n) for place, n, kind in kinds if isinstance(kind, Frozen)]

    def finish(self, gradients: Sequence[Views], share: float) -> None:
        """Complete the gradients after the chain rule; `share` is the part of the batch that the microbatch is."""
        for place, repeated in self.repeated.items():
            gradients[place].add(repeated)
        for place, name, uses in self._averages:
            np.multiply(gradients[place][name], share / uses, out=gradients[place][name])
        for place, name in self._frozen:
            gradients[place].parts[name].clear()


def _zeros(node: Node, dtype: np.dtype[Any]) -> Views:
    """Arrays for the gradient by each parameter of a node."""
    parts: dict[str, Part] = {}
    for p in node.layer.parameters:
        values = np.zeros(p.shape, dtype)
        parts[p.name] = RowSparse.over(values) if p.sparse else Dense(values)
    return Views(parts)
