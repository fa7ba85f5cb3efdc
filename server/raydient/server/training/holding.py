"""Which coordinator holds a job's folder: one at a time, and of two that want it the one that was started later.

The lock file is locked by its holder and names it. A holder that is stopped is ended by the next coordinator, after its
identity was compared, because process ids are used again. One on another machine cannot be ended: it is superseded, and
`Holding.check` keeps it from writing when it wakes up.
"""

import fcntl
import json
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

LOCK_FILE = "lock"
WAIT_SECONDS = 30.0
"""How long a holder that cannot be ended may take to let go."""
END_SECONDS = 10.0
"""How long a process that was killed may take to be gone."""
_RETRY_SECONDS = 0.02
_RECORD_BYTES = 512


class SupersededError(RuntimeError):
    """A coordinator that was started later holds the folder."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The record in the lock file.

    Attributes:
        generation: grows with each coordinator of the job.
        pid: process id.
        identity: tells the process from others that have had the same id; empty where the system has no /proc.
    """

    generation: int
    pid: int
    identity: str


def next_generation(directory: Path) -> int:
    """A generation for a coordinator that is about to be started; above all that have held the folder."""
    found = read_holder(directory)
    return max(time.time_ns(), found.generation + 1 if found else 0)


def read_holder(directory: Path) -> Holder | None:
    """The last holder of a job's folder, which may be gone; None if there was none or the record is damaged."""
    try:
        return Holder(**json.loads((directory / LOCK_FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Holding:
    """A job's folder in the hands of this process."""

    def __init__(self, directory: Path, generation: int) -> None:
        self._directory, self._generation = directory, generation

    def check(self) -> None:
        """Raise SupersededError if a later coordinator has taken the folder; to be called before each write."""
        found = read_holder(self._directory)
        if found is not None and found.generation > self._generation:
            raise SupersededError(f"a later coordinator, process {found.pid}, holds {self._directory}")


@contextmanager
def holding(directory: Path, generation: int, wait_seconds: float = WAIT_SECONDS) -> Iterator[Holding]:
    """Hold a job's folder, made if absent; a holder of an earlier generation is ended. Raises SupersededError."""
    directory.mkdir(parents=True, exist_ok=True)
    mine = Holding(directory, generation)
    descriptor = os.open(directory / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + wait_seconds
        while not _try_lock(descriptor) and time.monotonic() < deadline:
            mine.check()
            if not end_holder(directory):
                threading.Event().wait(_RETRY_SECONDS)
        mine.check()
        record = Holder(generation, os.getpid(), identity(os.getpid()))
        with suppress(OSError):  # a full disk: then only nobody can tell who holds the folder
            # Padded, so that the file keeps its block, and a full disk does not matter the next time.
            os.pwrite(descriptor, json.dumps(asdict(record)).encode().ljust(_RECORD_BYTES), 0)
        yield mine
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_holder(directory: Path) -> bool:
    """End the process that holds a job's folder, if it is on this machine; whether there was one and it is gone."""
    found = read_holder(directory)
    return found is not None and end(found.pid, found.identity)


def end(pid: int, known: str) -> bool:
    """Kill a process of this machine that is still the one of this identity; whether that was so and it is gone."""
    if not known or pid == os.getpid():
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if identity(pid) != known:  # compared after opening: the handle cannot come to mean another process
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return bool(select.select([handle], [], [], END_SECONDS)[0])
    except OSError:
        return False
    finally:
        os.close(handle)


def identity(pid: int) -> str:
    """When a process began, in which boot and in which name space of ids; empty if that cannot be told."""
    try:
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')} {began}"
    except (OSError, IndexError):
        return ""
