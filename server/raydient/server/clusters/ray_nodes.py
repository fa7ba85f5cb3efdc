"""The nodes of a Ray, and whether what is installed there is what is installed here.

Ray itself turns away nodes and drivers of another Ray or Python than its head's. The rest has to be asked for.
"""

import time
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .cluster import ClusterError
from .nodes import Node, Nodes
from .versions import disagreement, installed

CHECK_SECONDS = 60.0
"""How long nodes may take to say their versions; Ray on a busy machine takes a while to start a process."""


def alive() -> list[Node]:
    """The nodes that are alive."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], int(node["Resources"].get("CPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


class Inspector:
    """Asks each node once for its versions."""

    def __init__(self) -> None:
        self._asked: dict[Node, ray.ObjectRef[Any]] = {}
        self._ours = installed()

    def inspect(self, node: Node) -> str | None:
        """See `Nodes`. Never blocks."""
        if node not in self._asked:
            there = NodeAffinitySchedulingStrategy(node.id, soft=False)
            ask: Any = ray.remote(installed).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            self._asked[node] = ask.remote()
        if not ray.wait([self._asked[node]], timeout=0)[0]:
            return None
        try:
            return disagreement(str(node), ray.get(self._asked.pop(node)), self._ours)
        except RayError as error:
            return f"{node} cannot run raydient: {first_line(error)}"


def check(nodes: Nodes) -> None:
    """Wait until every node has said its versions. ClusterError if one has others, or says nothing."""
    deadline = time.monotonic() + CHECK_SECONDS
    nodes.update()
    while nodes.unknown and time.monotonic() < deadline:
        time.sleep(0.05)
        nodes.update()
    if nodes.refused:
        raise ClusterError("; ".join(nodes.refused.values()))
    if nodes.unknown:
        raise ClusterError(f"no process starts on {nodes.unknown[0]} within {CHECK_SECONDS:.0f} seconds")


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
