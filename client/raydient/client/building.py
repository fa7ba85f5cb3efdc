"""Builds networks in Python: lists and graphs of layers, as plain data for `network` in a job."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raydient.spec.layers import INPUT
from raydient.spec.network import Layer

Option = str | Mapping[str, Any]
"""A loss, a metric, ...: its name, or its name with settings, `{"huber": {"delta": 2.0}}`."""
Data = dict[str, Any]


def layer(kind: str, **settings: Any) -> Data:
    """A layer for `sequential`, as in `layer("dense", units=10)`.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in Layer.model_fields:
        raise ValueError(f"there is no layer {kind!r}, there are: {', '.join(Layer.model_fields)}")
    return {kind: settings}


def sequential(layers: Sequence[Data], loss: Option, *, metrics: Sequence[Option] = ()) -> Data:
    """A network in which each layer takes the output of the previous one; the first takes the samples."""
    return {"layers": list(layers), "loss": loss, "metrics": list(metrics)}


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a graph: an input, or the output of a layer."""

    name: str


class Graph:
    """A network as a directed acyclic graph, built layer by layer.

    A layer takes existing nodes, so there can be no cycle.
    """

    def __init__(self) -> None:
        self._layers: list[Data] = []
        self._outputs: list[Data] = []
        self._nodes: set[Node] = set()
        self._kinds: Counter[str] = Counter()

    def input(self, name: str = INPUT) -> Node:
        """Add an input, by its name in `dataset.inputs`; omit the name of a single input."""
        return self._add(Node(name))

    def layer(self, kind: str, *inputs: Node, name: str | None = None, **settings: Any) -> Node:
        """Add a layer that takes these nodes. A setting that names a layer, as in `shared`, may be a node.

        Raises:
            ValueError: the kind is unknown, there are no inputs, a node belongs to another graph, or the name is taken.
        """
        if not inputs:
            raise ValueError(f"{kind} takes nothing: give the nodes that it takes")
        plain = {key: value.name if isinstance(value, Node) else value for key, value in settings.items()}
        for node in (*inputs, *(value for value in settings.values() if isinstance(value, Node))):
            self._check_own(node)
        self._kinds[kind] += 1
        node = Node(name or f"{kind}_{self._kinds[kind]}")
        if node in self._nodes:
            raise ValueError(f"{node.name} is there already: give the {kind} another name")
        self._layers.append(layer(kind, name=node.name, inputs=[taken.name for taken in inputs], **plain))
        return self._add(node)

    def output(
        self, node: Node, *, label: str, loss: Option, weight: float = 1.0, metrics: Sequence[Option] = ()
    ) -> None:
        """Compare the output of a layer with a label of `dataset.labels`."""
        self._check_own(node)
        output = {"layer": node.name, "label": label, "loss": loss, "weight": weight, "metrics": list(metrics)}
        self._outputs.append(output)

    def network(self, loss: Option | None = None, *, metrics: Sequence[Option] = ()) -> Data:
        """The data for `network` in a job. With `loss`, the last layer is the only output.

        Raises:
            ValueError: the graph has outputs and `loss` is set, or neither; `metrics` is set without `loss`.
        """
        if (loss is None) == (not self._outputs):
            raise ValueError("a graph has outputs, each with its loss, or is given the loss of its last layer")
        layers = [dict(each) for each in self._layers]
        if loss is not None:
            return sequential(layers, loss, metrics=metrics)
        if metrics:
            raise ValueError("each output has its own metrics: give them to `output`")
        return {"layers": layers, "outputs": self._outputs[:]}

    def _add(self, node: Node) -> Node:
        self._nodes.add(node)
        return node

    def _check_own(self, node: Node) -> None:
        if node not in self._nodes:
            raise ValueError(f"{node.name} is not of this graph")
