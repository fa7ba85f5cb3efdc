"""Plain processes on this machine: the single-node default, ready in a fraction of a second."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from raydient.spec.job import Placement
from raydient.wire.control import Role

from .endings import describe_status, memory_kills
from .member import BLAS_ENVIRONMENT


class LocalCluster:
    """Starts children of this process, each in a session of its own: Ctrl-C at a terminal is the parent's to handle."""

    host = "127.0.0.1"
    node = ""
    detaches = False
    reserves = False

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._processes: list[LocalProcess] = []

    def reserve(self, job: str, workers: int, placement: Placement) -> None:
        """Nothing to reserve on the one machine; `placement` leaves no choice."""

    def release(self) -> None:
        """See `reserve`."""

    def start(self, role: Role, launch: str, log: Path) -> "LocalProcess":
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                # -P: a file called numpy.py in the user's directory is not NumPy
                [sys.executable, "-P", "-m", "raydient.server.clusters.member", role.value],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **BLAS_ENVIRONMENT},
                start_new_session=True,
            )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and `ended` will say so
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
    """A child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._memory_kills = memory_kills()
        self.pid = process.pid

    def waiting(self) -> bool:
        return False

    def ended(self) -> str | None:
        status = self._process.poll()
        if status is None:
            return None
        self._close_input()
        return describe_status(status, killed_for_memory=memory_kills() > self._memory_kills)

    def detach(self) -> None:
        raise NotImplementedError("a local process ends with the one that started it")

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close_input()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
