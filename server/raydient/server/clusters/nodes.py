"""The nodes of a cluster that come and go: how many workers they hold, and which of them cannot be used."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LOOK_SECONDS = 1.0
"""How often the nodes are looked at."""
CLOSE_SECONDS = 5.0
"""How long a look that is under way may take when nobody wants to know any more."""

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

    `look` gives the nodes that are alive; `inspect` says why one cannot be used, an empty text if it can, None as long
    as that is not known.
    """

    def __init__(self, look: Callable[[], Sequence[Node]], inspect: Callable[[Node], str | None]) -> None:
        self._look, self._inspect = look, inspect
        self._alive: Mapping[Node, str | None] = {}  # what `inspect` says of each; replaced, never changed
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def slots(self) -> int:
        """Worker processes that the nodes which can be used hold in all."""
        return sum(node.cpus for node, why in self._alive.items() if why == "")

    @property
    def refused(self) -> Mapping[Node, str]:
        """Nodes that cannot be used, and why."""
        return {node: why for node, why in self._alive.items() if why}

    @property
    def unknown(self) -> Sequence[Node]:
        """Nodes of which it is not known yet whether they can be used."""
        return [node for node, why in self._alive.items() if why is None]

    def update(self) -> None:
        """Look once."""
        before = self._alive
        self._alive = {
            node: self._inspect(node) if (known := before.get(node)) is None else known for node in self._look()
        }

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
            else:
                self._tell(before)

    def _tell(self, before: Mapping[Node, str | None]) -> None:
        for node, why in self._alive.items():
            if why is not None and before.get(node) is None:
                if why:
                    _log.warning("%s; no process is placed there", why)
                else:
                    _log.info("%s has joined with %d CPUs", node, node.cpus)
        for node in before.keys() - self._alive.keys():
            _log.info("%s is gone", node)

    def close(self) -> None:
        """Stop looking. Harmless when repeated."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
