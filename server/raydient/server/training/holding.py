"""The lock on a job's folder: one coordinator holds it at a time, and a later coordinator replaces an earlier one.

The holder locks the lock file and writes its identity into it. The next coordinator kills a holder that is stopped,
after comparing the identity, because process ids are reused. A holder on another machine cannot be killed: it is
superseded, and `Holding.check` keeps it from writing when it resumes.
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
"""Time for which to wait for the lock of a holder that cannot be killed."""
END_SECONDS = 10.0
"""Time that a killed process may take to end."""
_RETRY_SECONDS = 0.02
_RECORD_BYTES = 512


class SupersededError(RuntimeError):
    """A later coordinator holds the folder."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The record in the lock file.

    Attributes:
        generation: larger for each later coordinator of the job.
        pid: process id.
        identity: distinguishes the process from others with the same id; empty if the system has no /proc.
    """

    generation: int
    pid: int
    identity: str


def next_generation(directory: Path) -> int:
    """Return a generation for a new coordinator, above that of every coordinator that has held the folder."""
    holder = read_holder(directory)
    return max(time.time_ns(), holder.generation + 1 if holder else 0)


def read_holder(directory: Path) -> Holder | None:
    """Return the last holder of a folder, which may have ended; None if there was none or the record is damaged."""
    try:
        return Holder(**json.loads((directory / LOCK_FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Holding:
    """This process's hold on a job's folder."""

    def __init__(self, directory: Path, generation: int) -> None:
        self._directory, self._generation = directory, generation

    def check(self) -> None:
        """Raise SupersededError if a later coordinator holds the folder. Call it before each write."""
        holder = read_holder(self._directory)
        if holder is not None and holder.generation > self._generation:
            raise SupersededError(f"a later coordinator, process {holder.pid}, holds {self._directory}")


@contextmanager
def holding(directory: Path, generation: int, wait_seconds: float = WAIT_SECONDS) -> Iterator[Holding]:
    """Hold a job's folder, created if absent, and kill a holder of an earlier generation. Raises SupersededError."""
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
        with suppress(OSError):  # disk full: the lock holds all the same, but the file does not name the holder
            # Padded to a fixed size, so that the next holder overwrites it in place even if the disk is full.
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
    """Kill the process that holds a job's folder, if it is on this machine. Return True if it has ended."""
    holder = read_holder(directory)
    return holder is not None and end(holder.pid, holder.identity)


def end(pid: int, known: str) -> bool:
    """Kill process `pid` of this machine if its identity is `known`. Return True if it was killed and has ended."""
    if not known or pid == os.getpid():
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if identity(pid) != known:  # compared after opening, because the handle always refers to the same process
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return bool(select.select([handle], [], [], END_SECONDS)[0])
    except OSError:
        return False
    finally:
        os.close(handle)


def identity(pid: int) -> str:
    """Return boot id, pid namespace and start time of a process; empty if /proc does not have them."""
    try:
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')} {began}"
    except (OSError, IndexError):
        return ""
