"""The protocol of clusters, which start and watch processes; `local` and `ray` implement it."""

from pathlib import Path
from typing import Protocol

from raydient.spec.job import Placement
from raydient.wire.control import Role

OUT_OF_MEMORY = "ran out of memory"
"""Beginning of `Process.ended` for a process that ran out of memory."""


class ClusterError(RuntimeError):
    """A cluster cannot be opened or used; the message is one line with the reason."""


class Process(Protocol):
    """A process that this process started."""

    def waiting(self) -> bool:
        """True if the process has not started because the cluster has no room for it yet. Never blocks.

        A process that waited may have ended since then; call `ended` first.
        """

    def ended(self) -> str | None:
        """Describe how the process ended; None while it runs or waits. Never blocks."""

    def detach(self) -> None:
        """Let the process outlive this object. For coordinators, on a cluster with `Cluster.detaches`."""

    def refuse(self) -> None:
        """Use this process no longer: end it and avoid its node for further processes of the run.

        A cluster of one node leaves the process idle, because another one there would not differ.
        """

    def kill(self) -> None:
        """End the process as `kill -9` does; it has ended when this returns. Harmless when repeated."""


class Cluster(Protocol):
    """The machines on which processes run. Not thread-safe, except `slots`.

    Attributes:
        host: address of this machine for processes on the cluster's other machines.
        node: name of the node that this process is on; empty if the cluster has only one. See `Endpoint.node`.
        detaches: coordinators can outlive the process that started them.
        reserves: `reserve` holds the job's room as a whole until `release`; otherwise each process holds its part.
    """

    host: str
    node: str
    detaches: bool
    reserves: bool

    @property
    def slots(self) -> int:
        """Number of worker processes that the present nodes can hold. Never blocks; may be used by any thread."""

    def reserve(self, job: str, workers: int, placement: Placement) -> None:
        """Request room for a job's parameter servers and this number of workers, to be granted as a whole.

        A parameter server takes no CPU, so their number changes nothing: with labels in `placement` all of them share
        one room on a node that has the labels, without labels they share the rooms of the first workers in turn.

        Call it once, before the first of these processes is started; they wait until the room is granted. Processes
        beyond that number are placed one by one. The room is held until `release` or the end of this process.
        """

    def release(self) -> None:
        """Release the reserved room; processes in it end. Harmless when repeated, or without a reservation."""

    def start(self, role: Role, launch: str, log: Path, *, portable: bool = False) -> Process:
        """Start a process of this role with `launch` as its only input, and return at once.

        With `portable` it uses the code of a common level of x86-64 processors, see `member.PORTABLE_ENVIRONMENT`.
        A worker or parameter server ends with the process that started it. Its output is appended to `log` on its
        machine. A process that cannot start is one that has `ended`.
        """

    def describe(self) -> str:
        """Return the description from which `reopen_cluster` opens this cluster in another process."""

    def close(self) -> None:
        """Leave the cluster; running processes that are not detached are ended. Harmless when repeated."""
