"""Plain processes on this machine, forked from one that has loaded their code: the single-node default."""

import contextlib
import json
import os
import signal
from pathlib import Path

from raydient.spec.job import Placement
from raydient.wire.control import Role

from . import member
from .cluster import OUT_OF_MEMORY
from .forking import Child, Entry, server_with
from .member import OUT_OF_MEMORY_STATUS, PEER_GONE_STATUS, environment


class LocalCluster:
    """Starts processes of a session of their own, so that Ctrl-C reaches only this one. They end with this one."""

    host = "127.0.0.1"
    node = ""
    detaches = False
    reserves = False

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._processes: list[LocalProcess] = []

    @staticmethod
    def warm_up(*, portable: bool = False) -> None:
        """Begin to load the code of members, while the caller loads its own. Returns at once."""
        server_with(_variables(portable=portable))

    def entry(self, role: Role) -> Entry:
        """Return what a process of this role runs."""
        return Entry(member.__name__, (role.value,))

    def reserve(self, job: str, workers: int, placement: Placement) -> None:
        """Do nothing, because processes can only run on this machine."""

    def release(self) -> None:
        """Do nothing; see `reserve`."""

    def start(self, role: Role, launch: str, log: Path, *, portable: bool = False) -> "LocalProcess":
        log.parent.mkdir(parents=True, exist_ok=True)
        variables = _variables(portable=portable)
        with log.open("ab") as output:
            process = server_with(variables).fork(self.entry(role), f"raydient: {role.value} {log}", variables, output)
        with contextlib.suppress(BrokenPipeError):  # the process has ended; `ended` reports it
            process.stdin.write(launch.encode() + b"\n")
            process.stdin.flush()
        self._processes = [p for p in self._processes if p.ended() is None]
        self._processes.append(LocalProcess(process))
        return self._processes[-1]

    def describe(self) -> str:
        return json.dumps({"kind": "local", "slots": self.slots})

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self._processes.clear()


class LocalProcess:
    """A process that ends when its standard input is closed, or with this process."""

    def __init__(self, process: Child) -> None:
        self._process = process
        self._memory_kills = memory_kills()

    @property
    def pid(self) -> int:
        return self._process.pid

    def waiting(self) -> bool:
        return False

    def ended(self) -> str | None:
        status = self._process.poll()
        if status is None:
            return None
        self._close_input()
        return describe_status(status, killed_for_memory=memory_kills() > self._memory_kills)

    def detach(self) -> None:
        raise NotImplementedError("a local process ends with the process that started it")

    def refuse(self) -> None:
        """Do nothing, because there is no other node."""

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close_input()

    def _close_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def _variables(*, portable: bool) -> dict[str, str]:
    return {**os.environ, **environment(portable=portable)}


def describe_status(status: int, *, killed_for_memory: bool = False) -> str:
    """Describe an exit status of `subprocess`, which is negative for the signal that ended the process.

    `killed_for_memory`: the kernel killed processes of this machine for lack of memory while the process ran.
    """
    if status == OUT_OF_MEMORY_STATUS:
        return OUT_OF_MEMORY
    if status == -signal.SIGKILL and killed_for_memory:
        return f"{OUT_OF_MEMORY}, and was killed by the kernel"
    if status == PEER_GONE_STATUS:
        return "ended because a process it works with is gone"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def memory_kills() -> int:
    """Number of processes that the kernel has killed for lack of memory since it booted; 0 if unknown."""
    try:
        counters = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), 0)
