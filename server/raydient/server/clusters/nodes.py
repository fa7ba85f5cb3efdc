"""The nodes of a cluster that come and go: how many workers they hold, and which of them cannot be used."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LOOK_SECONDS = 1.0
"""How often the nodes are looked at."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """One node that is alive.

    Attributes:
        id: what the cluster calls it.
        host: its address; several nodes may share one.
        cpus: worker processes that it can hold.
    """

    id: str
    host: str
    cpus: int

    def __str__(self) -> str:
        return f"node {self.host} ({self.id[:8]})"


class Nodes:
    """Looks at the nodes again and again, from a thread of its own: asking a cluster may take long.

    `look` gives the nodes that are alive; `check` says of new ones, by id, why they cannot be used, nothing of others.
    """

    def __init__(
        self, look: Callable[[], Sequence[Node]], check: Callable[[Sequence[Node]], Mapping[str, str]]
    ) -> None:
        self._look, self._check = look, check
        self._known: dict[str, str] = {}  # why it cannot be used, by id; empty where it can
        self._alive: Sequence[Node] = ()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def slots(self) -> int:
        """Worker processes that the nodes which can be used hold in all."""
        return sum(node.cpus for node in self._alive if not self._known[node.id])

    @property
    def refused(self) -> Mapping[str, str]:
        """Why nodes that are alive cannot be used, by id."""
        return {node.id: why for node in self._alive if (why := self._known[node.id])}

    def update(self) -> None:
        """Look once."""
        alive = self._look()
        new = [node for node in alive if node.id not in self._known]
        if new:
            found = self._check(new)
            self._known |= {node.id: found.get(node.id, "") for node in new}
        self._alive = alive

    def watch(self) -> None:
        """Look every second from now on, until `close`."""
        self._thread = threading.Thread(target=self._run, name="nodes", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            before = self._alive
            try:
                self.update()
            except Exception:
                _log.exception("the cluster's nodes could not be looked at")
                continue
            self._tell(before)

    def _tell(self, before: Sequence[Node]) -> None:
        for node in self._alive:
            if node not in before and (why := self._known[node.id]):
                _log.warning("%s: no process is placed there", why)
            elif node not in before:
                _log.info("%s has joined, %d CPUs", node, node.cpus)
        for node in before:
            if node not in self._alive:
                _log.info("%s is gone", node)

    def close(self) -> None:
        """Stop looking. Harmless when repeated."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
