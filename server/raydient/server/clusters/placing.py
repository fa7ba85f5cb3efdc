"""Which node a process goes to that is started by itself: a worker that joins later, or that takes another's place."""

from collections.abc import Mapping


def prefer(free: Mapping[str, float], held: Mapping[str, int], *, spread: bool) -> str | None:
    """The node for one more worker, None where no node has room.

    Args:
        free: CPUs that nobody uses, by node.
        held: processes of the job, by node.
        spread: to the node with the fewest of them rather than the most; among equals, the one with most room.
    """
    candidates = [node for node, cpus in free.items() if cpus >= 1]
    sign = -1 if spread else 1
    return max(candidates, key=lambda node: (sign * held.get(node, 0), free[node], node), default=None)
