"""The nodes of a Ray, and a check that they have the same versions installed as this service.

Ray itself refuses nodes and drivers whose Ray or Python differs from its head's. The other packages are compared here.
"""

import time
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .cluster import ClusterError
from .nodes import Node, Nodes, disagreement, installed

CHECK_SECONDS = 60.0
"""Time for nodes to report their versions; on a busy machine Ray takes long to start a process."""


def this_node() -> str:
    """The id of the node that this process is on."""
    node: str = ray.get_runtime_context().get_node_id()
    return node


def alive() -> list[Node]:
    """The nodes that are alive."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], int(node["Resources"].get("CPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


class Inspector:
    """Requests the versions of each node once."""

    def __init__(self) -> None:
        self._requests: dict[Node, ray.ObjectRef[Any]] = {}
        self._ours = installed()

    def inspect(self, node: Node) -> str | None:
        """See `Nodes`. Never blocks."""
        if node not in self._requests:
            strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
            remote: Any = ray.remote(installed).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
            self._requests[node] = remote.remote()
        if not ray.wait([self._requests[node]], timeout=0)[0]:
            return None
        try:
            return disagreement(str(node), ray.get(self._requests.pop(node)), self._ours)
        except RayError as error:
            return f"{node} cannot run raydient: {first_line(error)}"


def check(nodes: Nodes) -> None:
    """Wait until every node has reported its versions. Raises ClusterError if one has others, or reports none."""
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
    """The first line of an error's message, or the name of its class."""
    return (str(error).splitlines() or [type(error).__name__])[0]
