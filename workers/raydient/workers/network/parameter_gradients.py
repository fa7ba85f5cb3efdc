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

    The gradient by a parameter is final when the last of its nodes has had its turn. Backpropagation takes the layers
    from the last to the first, so the final part of the flat vector grows from its end to its beginning.

    Attributes:
        repeated: arrays for the gradients of nodes that are not the first to use their parameters, by place.
        final_from: for each place of the backward pass the index in the flat vector from which on the gradient is final
            after the turn of that node.
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
        last = {nodes[place].owner: place for place in backward_order}
        self._averages = [
            (last[place], place, n, owners.count(place)) for place, n, kind in kinds if isinstance(kind, Average)
        ]
        self._frozen = [(last.get(place, -1), place, n) for place, n, kind in kinds if isinstance(kind, Frozen)]
        self.final_from: Mapping[int, int] = _final_from(network, backward_order, last)

    def begin(self, gradients: Sequence[Views]) -> None:
        """Set the gradients by frozen parameters to 0 whose nodes the backward pass leaves out."""
        self._clear(-1, gradients)

    def finish(self, place: int, gradients: Sequence[Views], share: float) -> None:
        """Complete the gradients after the turn of a node; `share` is the part of the batch that the microbatch is."""
        if place in self.repeated:
            gradients[place].add(self.repeated[place])
        for last, owner, name, uses in self._averages:
            if last == place:
                np.multiply(gradients[owner][name], share / uses, out=gradients[owner][name])
        self._clear(place, gradients)

    def _clear(self, place: int, gradients: Sequence[Views]) -> None:
        for last, owner, name in self._frozen:
            if last == place:
                gradients[owner].parts[name].clear()


def _final_from(network: Network, backward_order: Sequence[int], last: Mapping[int, int]) -> Mapping[int, int]:
    """See `ParameterGradients.final_from`; `last` is the last turn for the parameters of each owner."""
    stops = {p.name: p.stop for p in network.layout.parameters}

    def end(node: Node) -> int:
        return max((stops[f"{node.parameters_of}.{p.name}"] for p in node.layer.parameters), default=0)

    ends = {owner: end(network.nodes[owner]) for owner in last}
    final = {}
    for place in backward_order:
        if last[network.nodes[place].owner] == place:
            del ends[network.nodes[place].owner]
        final[place] = max(ends.values(), default=0)
    return final


def _zeros(node: Node, dtype: np.dtype[Any]) -> Views:
    """Arrays for the gradient by each parameter of a node."""
    parts: dict[str, Part] = {}
    for p in node.layer.parameters:
        values = np.zeros(p.shape, dtype)
        parts[p.name] = RowSparse.over(values) if p.sparse else Dense(values)
    return Views(parts)
