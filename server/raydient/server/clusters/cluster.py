"""Starting and watching processes, whatever starts them: the protocol that `local` and `ray` keep."""

from pathlib import Path
from typing import Protocol

from raydient.spec.job import Placement
from raydient.wire.control import Role


class ClusterError(RuntimeError):
    """A cluster cannot be opened or used; the message says why, in one line."""


class Process(Protocol):
    """A process that this one started."""

    def waiting(self) -> bool:
        """True if the cluster has had no room for it yet; a process that runs silently does not wait. Never blocks.

        A process that waited may have ended meanwhile: ask `ended` first.
        """

    def ended(self) -> str | None:
        """Description of how it ended; None while it runs or waits. Never blocks."""

    def detach(self) -> None:
        """Let the process outlive this object. For coordinators, on a cluster with `Cluster.detaches`."""

    def kill(self) -> None:
        """End it now, as `kill -9` would; it is gone when this returns. Harmless when repeated."""


class Cluster(Protocol):
    """The machines on which processes run. Not thread-safe, except `slots`.

    Attributes:
        host: address of this machine at which processes on the cluster's other machines reach it.
        detaches: coordinators may outlive the process that started them.
        reserves: room that `reserve` asks for is held as a whole until `release`; else each process holds its part.
        node: name of the node that this process is on, empty where there is only one; see `Endpoint.node`.
    """

    host: str
    node: str
    detaches: bool
    reserves: bool

    @property
    def slots(self) -> int:
        """Worker processes that it can hold at a time, as its nodes are now. Never blocks, from any thread."""

    def reserve(self, job: str, workers: int, placement: Placement) -> None:
        """Ask for room for a job's parameter server and so many workers, given all at once or not yet.

        Once, before the first of them is started; what is started beyond that is placed by itself. Processes wait until
        there is room. Held until `release`, and not longer than this process lives.
        """

    def release(self) -> None:
        """Give back what was reserved; processes in it end. Harmless when repeated, or where nothing was."""

    def start(self, role: Role, launch: str, log: Path) -> Process:
        """Start a process of this role; it is told `launch` and nothing else.

        A worker or parameter server ends with the process that started it. What it prints goes to `log` on its machine.
        Returns at once; a process that cannot start is one that `ended`.
        """

    def describe(self) -> str:
        """The description by which another process opens this cluster with `reopen_cluster`."""

    def close(self) -> None:
        """Leave the cluster; running processes that are not detached are ended. Harmless when repeated."""
