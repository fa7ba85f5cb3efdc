"""Starting and watching processes, whatever starts them: the protocol that `local` and `ray` keep."""

from pathlib import Path
from typing import Protocol

from raydient.wire.control import Role


class ClusterError(RuntimeError):
    """A cluster cannot be opened; the message says why, in one line."""


class Process(Protocol):
    """A process that this one started."""

    def ended(self) -> str | None:
        """How it ended, in a few words; None while it runs. Never blocks."""

    def kill(self) -> None:
        """End it now, as `kill -9` would; it is gone when this returns. Harmless when repeated."""


class Cluster(Protocol):
    """Where processes run. Not thread-safe.

    Attributes:
        slots: worker processes that it can hold at a time.
        host: address of this machine at which processes on the cluster's other machines reach it.
    """

    slots: int
    host: str

    def start(self, role: Role, launch: str, log: Path) -> Process:
        """Start a process of this role; it is told `launch` and nothing else.

        A worker or parameter server ends with the process that started it. What it prints goes to `log` on its machine.
        Returns at once; a process that cannot start is one that `ended`.
        """

    def describe(self) -> str:
        """What another process needs to use this cluster, for `open_cluster`."""

    def close(self) -> None:
        """Leave the cluster; processes that are still running are ended. Harmless when repeated."""
