"""Processes of this machine that are forked instead of started anew; see `fork_server`."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, NamedTuple

from raydient.workers.portable import PORTABLE

from . import fork_server
from .fork_server import NUMBER, Order

READ_AT_START = ("PYTHON", "LD_", "GLIBC_", "MALLOC_", "OPENBLAS_", "OMP_", "MKL_", "BLIS_", "NPY_", "NUMBA_", PORTABLE)
"""Beginnings of the names of variables that count when Python, NumPy or our modules are loaded."""


class Entry(NamedTuple):
    """The code of a process: the function `main` of a module, or of the file that a path ending in .py names."""

    code: str
    arguments: tuple[str, ...] = ()


class Child:
    """A process that was forked, with the interface of `subprocess.Popen`. It is killed when this object is gone.

    Attributes:
        stdin: its standard input, a pipe.
        stdout: its standard output, if that is a pipe.
        returncode: exit status, negative for the signal that ended it; None as long as no method has seen the end.
    """

    def __init__(self, status: socket.socket, stdin: IO[bytes], stdout: IO[bytes] | None) -> None:
        self.stdin, self.stdout = stdin, stdout
        self.returncode: int | None = None
        self._status, self._received = status, b""

    @property
    def pid(self) -> int:
        """The process id, as soon as there is one. Raises OSError if there was no room for the process."""
        self._receive(NUMBER.size)
        if len(self._received) < NUMBER.size:
            raise ProcessLookupError("the fork server has ended")
        (pid,) = NUMBER.unpack_from(self._received)
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return int(pid)

    def poll(self) -> int | None:
        """Return `returncode` as it is now. Never blocks."""
        self._receive(2 * NUMBER.size, socket.MSG_DONTWAIT)
        return self.returncode

    def wait(self) -> int:
        """Wait for the end of the process, and return its exit status."""
        self._receive(2 * NUMBER.size)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """Have the process killed. Harmless when repeated; from any thread."""
        with suppress(OSError):  # it has ended
            self._status.shutdown(socket.SHUT_WR)

    def _receive(self, size: int, flags: int = 0) -> None:
        while self.returncode is None and len(self._received) < size:
            try:
                piece = self._status.recv(size - len(self._received), flags)
            except BlockingIOError:
                return
            except ConnectionError:
                piece = b""
            self._received += piece
            if not piece:  # the server was killed, and the kernel killed its children
                self.returncode = -signal.SIGKILL
            elif len(self._received) == 2 * NUMBER.size:
                (self.returncode,) = NUMBER.unpack_from(self._received, NUMBER.size)
        if self.returncode is not None:
            self._status.close()


class ForkServer:
    """The client's side of a fork server. May be used from any thread."""

    def __init__(self, requests: socket.socket, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self._requests, self._process, self._lock = requests, process, threading.Lock()

    @classmethod
    def spawn(cls, environment: Mapping[str, str]) -> "ForkServer":
        """Start a fork server with these environment variables, as a new interpreter. Returns at once."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                # -P: do not import a numpy.py from the user's directory
                [sys.executable, "-P", "-m", fork_server.__name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return cls(ours, process)

    @classmethod
    def from_this_process(cls) -> "ForkServer":
        """Fork a fork server from this process, which must have a single thread. It is killed with this process."""
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        if os.fork() == 0:
            ours.close()
            fork_server.end_with_parent(parent)
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), 0)
            fork_server.serve(theirs)
            os._exit(0)
        theirs.close()
        return cls(ours)

    @property
    def ended(self) -> bool:
        """True if the server has ended, and with it all of its processes."""
        try:
            return not self._requests.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def fork(
        self,
        entry: Entry,
        title: str,
        environment: Mapping[str, str],
        output: IO[bytes] | None = None,
    ) -> Child:
        """Have a process forked, in a session of its own and in the present working directory. Returns at once.

        Args:
            entry: what it runs.
            title: its name in lists of processes.
            environment: its environment variables.
            output: its standard output and error; if None, a pipe and the standard error of this process.
        """
        text = Order(*entry, title, dict(environment), _umask()).to_json()
        ours, theirs = socket.socketpair()
        with ExitStack() as passed:
            passed.enter_context(theirs)
            launches, stdin = _pipe()
            passed.enter_context(launches)
            stdout, errors = None, 2
            if output is None:
                stdout, output = _pipe()
                passed.enter_context(output)
            else:
                errors = output.fileno()
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
            passed.callback(os.close, folder)
            descriptors = [launches.fileno(), output.fileno(), errors, folder, theirs.fileno()]
            try:
                with self._lock:
                    socket.send_fds(self._requests, [NUMBER.pack(len(text))], descriptors)
                    self._requests.sendall(text)
            except OSError:
                ours.shutdown(socket.SHUT_RDWR)  # the server has ended; so has the process
        return Child(ours, stdin, stdout)

    def close(self) -> None:
        """End the server and all of its processes. Harmless when repeated."""
        self._requests.close()
        if self._process is not None:
            self._process.wait()


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    """Return the two ends of a pipe, that for reading first."""
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb"), os.fdopen(writing, "wb")


def _umask() -> int:
    """Return the file mode creation mask of this process; 0o022 where the system does not show it."""
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next((int(line.split()[1], 8) for line in lines if line.startswith("Umask:")), 0o022)
    return 0o022


# ---- the fork servers of this process

_servers: dict[frozenset[tuple[str, str]], ForkServer] = {}
_owner = 0
_lock = threading.Lock()


def server_with(environment: Mapping[str, str]) -> ForkServer:
    """Return the fork server of this process with these environment variables, as far as they count at its start.

    The first call starts it; it ends with this process.
    """
    with _lock:
        server = _known().get(key := _key(environment))
        if server is None or server.ended:
            if server is not None:
                server.close()
            server = _servers[key] = ForkServer.spawn(environment)
        return server


def become_able_to_fork() -> None:
    """Make the fork server of this process from itself. Call it before there are other threads."""
    _known()[_key(os.environ)] = ForkServer.from_this_process()


def _known() -> dict[frozenset[tuple[str, str]], ForkServer]:
    """Return `_servers`, which is empty in a process that was forked."""
    global _owner  # noqa: PLW0603
    if _owner != os.getpid():
        _owner = os.getpid()
        _servers.clear()
        atexit.register(_end_all, _owner)
    return _servers


def _end_all(owner: int) -> None:
    """End the servers of the process that registered this function; its forks inherit that."""
    if owner == os.getpid():
        for server in _servers.values():
            server.close()


def _key(environment: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in environment.items() if name.startswith(READ_AT_START))
