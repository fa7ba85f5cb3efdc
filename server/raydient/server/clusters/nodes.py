"""The nodes of a cluster: how many workers they hold, which cannot be used, and which takes the next worker."""

import logging
import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

LOOK_SECONDS = 1.0
"""Interval between looks at the nodes."""
CLOSE_SECONDS = 5.0
"""Time that `close` waits for a look in progress."""
DISTRIBUTIONS = ("raydient", "ray", "numpy")
"""Packages that every node must have in the same version, besides Python. Ray itself refuses another Ray or Python;
another NumPy would change the bits of results, and another raydient has another protocol."""

_ABSENT = "none"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive.

    Attributes:
        id: its name in the cluster.
        host: its address, which several nodes may share.
        cpus: number of worker processes that it can hold.
    """

    id: str
    host: str
    cpus: int

    def __str__(self) -> str:
        return f"node {self.host} ({self.id[:8]})"


class Nodes:
    """Watches the nodes from a thread of its own, because a request to the cluster may take long.

    `look` returns the nodes that are alive. `inspect` returns the reason why a node cannot be used: empty if it can be
    used, None while that is unknown.
    """

    def __init__(self, look: Callable[[], Sequence[Node]], inspect: Callable[[Node], str | None]) -> None:
        self._look, self._inspect = look, inspect
        self._alive: Mapping[Node, str | None] = {}  # results of `inspect`; replaced, never changed
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def slots(self) -> int:
        """Number of worker processes that all usable nodes hold together."""
        return sum(node.cpus for node, problem in self._alive.items() if problem == "")

    @property
    def refused(self) -> Mapping[Node, str]:
        """Nodes that cannot be used, with the reasons."""
        return {node: problem for node, problem in self._alive.items() if problem}

    @property
    def unknown(self) -> Sequence[Node]:
        """Nodes that have not been inspected yet."""
        return [node for node, problem in self._alive.items() if problem is None]

    def update(self) -> None:
        """Look at the nodes once."""
        before = self._alive
        self._alive = {
            node: self._inspect(node) if (known := before.get(node)) is None else known for node in self._look()
        }

    def watch(self) -> None:
        """Look at the nodes every second until `close`."""
        self._thread = threading.Thread(target=self._run, name="nodes", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            before = self._alive
            try:
                self.update()
            except Exception:
                _log.exception("the cluster's nodes cannot be listed")
            else:
                self._log_changes(before)

    def _log_changes(self, before: Mapping[Node, str | None]) -> None:
        for node, problem in self._alive.items():
            if problem is not None and before.get(node) is None:
                if problem:
                    _log.warning("%s; no process is placed there", problem)
                else:
                    _log.info("%s has joined with %d CPUs", node, node.cpus)
        for node in before.keys() - self._alive.keys():
            _log.info("%s is gone", node)

    def close(self) -> None:
        """Stop watching. Harmless when repeated."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)


def prefer(free: Mapping[str, float], held: Mapping[str, int], *, spread: bool) -> str | None:
    """Return the node for one more worker of a job, beyond those whose room was reserved; None if no node has room.

    Args:
        free: unused CPUs by node.
        held: number of the job's processes by node.
        spread: prefer the node with the fewest of the job's processes; otherwise the one with the most. Among equals,
            the node with the most room.
    """
    candidates = [node for node, cpus in free.items() if cpus >= 1]
    sign = -1 if spread else 1
    return max(candidates, key=lambda node: (sign * held.get(node, 0), free[node], node), default=None)


def installed() -> dict[str, str]:
    """Versions of Python and `DISTRIBUTIONS` in this process, by name."""
    return {"Python": platform.python_version(), **{name: _version(name) for name in DISTRIBUTIONS}}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return _ABSENT


def disagreement(node: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Describe in one line the versions of a node that differ from those of this service; empty if none does."""
    differing = [name for name in ours if theirs.get(name, _ABSENT) != ours[name]]
    if not differing:
        return ""
    on_node = " and ".join(f"{name} {theirs.get(name, _ABSENT)}" for name in differing)
    in_service = " and ".join(f"{name} {ours[name]}" for name in differing)
    return f"{node} has {on_node}, this service has {in_service}"
