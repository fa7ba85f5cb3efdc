"""A process that has loaded the code of a job's processes, and forks each of them in some milliseconds.

A new interpreter that loads NumPy and our modules takes most of a second of processor time; the fork of one that has
done so takes little, and the two share the memory that neither writes. A process with several threads cannot be forked
safely, so the fork server is one of its own, with a single thread. Its client, see `forking`, holds one end of a socket
pair: when that is closed, also by the client's death, every process that was forked is killed, even a frozen one; and
so it is, by the kernel, if the fork server is killed.

An order is the length of a JSON object and that object, with five descriptors: standard input, output and error, the
working directory, and a socket for the new process alone. The server sends on that socket the process id (or the
negated number of an error), then the exit status; it kills the process when the other end is closed for writing.
"""

import ctypes
import errno
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Self

from setproctitle import setproctitle

MEMBERS = ("raydient.workers.worker", "raydient.server.parameters.shell")
"""Modules that the processes of a job use. None may start a thread when it is imported."""
OTHERS = ("raydient.server.training.process", "raydient.server.training.check_process")
"""Modules of other processes, loaded when there is nothing else to do."""
TITLE = "raydient: fork server"
NUMBER = struct.Struct("<i")
"""Encodes a length, a process id and an exit status."""

_DESCRIPTORS = 5
_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""


@dataclass(frozen=True, slots=True)
class Order:
    """A process to be forked.

    Attributes:
        code: name of a module, or path of a .py file, whose function `main` the process runs.
        arguments: those of `main`.
        title: name of the process in lists of processes.
        environment: its environment variables.
        umask: its file mode creation mask.
    """

    code: str
    arguments: Sequence[str]
    title: str
    environment: Mapping[str, str]
    umask: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        return cls(**json.loads(data))

    def run(self, descriptors: Sequence[int]) -> None:
        """Make this process that of the order, and run it to its end. Raises SystemExit."""
        *standard, folder = descriptors
        os.setsid()
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        os.fchdir(folder)
        for descriptor in descriptors:
            os.close(descriptor)
        os.umask(self.umask)
        os.environ.clear()
        os.environ.update(self.environment)
        setproctitle(self.title)
        main = runpy.run_path(self.code)["main"] if self.code.endswith(".py") else import_module(self.code).main
        sys.exit(main(*self.arguments))


class _Server:
    """Forks processes, and reports their ends. It is used by the only thread of its process."""

    def __init__(self, requests: socket.socket, modules: Sequence[str]) -> None:
        self._requests, self._modules, self._pid = requests, list(modules), os.getpid()
        self._children: dict[int, socket.socket] = {}
        self._ends, self._signalled = socket.socketpair()
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # with none, nothing would be written
        self._signalled.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        for file in (requests, self._ends):
            self._selector.register(file, selectors.EVENT_READ)

    def serve(self) -> None:
        """Carry out orders until the other end of the requests is closed. SystemExit at the end of a new process."""
        while True:
            events = self._selector.select(0 if self._modules else None)
            if not events:
                import_module(self._modules.pop(0))
                gc.freeze()
            for key, _ in events:
                if key.fileobj is self._ends:
                    self._ends.recv(1 << 12)
                    self._report_ends()
                elif key.fileobj is not self._requests:
                    self._kill(key.data)
                elif (received := self._receive()) is None:
                    self._end_all()
                    return
                else:
                    self._fork(*received)

    def _receive(self) -> tuple[Order, list[int]] | None:
        """Return the next order and its descriptors; None if the client is gone."""
        head, descriptors, _, _ = socket.recv_fds(self._requests, NUMBER.size, _DESCRIPTORS)
        head += self._read(NUMBER.size - len(head)) if head else b""
        if len(head) < NUMBER.size:
            return None
        (size,) = NUMBER.unpack(head)
        text = self._read(size)
        return None if len(text) < size else (Order.from_json(text), descriptors)

    def _read(self, size: int) -> bytes:
        """Return this number of bytes, or fewer if the client is gone."""
        text = b""
        while len(text) < size and (piece := self._requests.recv(size - len(text))):
            text += piece
        return text

    def _fork(self, order: Order, descriptors: list[int]) -> None:
        *descriptors, last = descriptors
        status = socket.socket(fileno=last)
        try:
            pid = os.fork()
        except OSError as error:  # no room for a process
            self._send(status, -(error.errno or errno.EAGAIN), 1)
            status.close()
        else:
            if pid == 0:
                end_with_parent(self._pid)
                status.close()
                self._leave()
                order.run(descriptors)
            self._children[pid] = status
            self._selector.register(status, selectors.EVENT_READ, pid)
            self._send(status, pid)
        for descriptor in descriptors:
            os.close(descriptor)

    def _leave(self) -> None:
        """Close, in a new process, what belongs to the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for file in (self._requests, self._ends, self._signalled, *self._children.values()):
            file.close()

    def _kill(self, pid: int) -> None:
        """Kill a process whose client has closed its socket for writing."""
        self._selector.unregister(self._children[pid])
        os.kill(pid, signal.SIGKILL)

    def _report_ends(self) -> None:
        for pid, status in list(self._children.items()):
            ended, value = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._children[pid]
                with suppress(KeyError):  # it was killed
                    self._selector.unregister(status)
                self._send(status, os.waitstatus_to_exitcode(value))
                status.close()

    def _send(self, status: socket.socket, *numbers: int) -> None:
        with suppress(OSError):  # the client is gone
            status.sendall(b"".join(map(NUMBER.pack, numbers)))

    def _end_all(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process, even if it is frozen, when its parent with this process id ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def serve(requests: socket.socket, modules: Sequence[str] = ()) -> None:
    """Fork processes for the client at the other end of `requests` until it is gone. SystemExit in a new process.

    `modules` are loaded when there is nothing to do.
    """
    setproctitle(TITLE)
    gc.freeze()  # so that collections in the new processes do not write to what they share
    _Server(requests, modules).serve()


def main(descriptor: int) -> None:
    """Be a fork server whose client has the other end of the socket with this descriptor."""
    for module in MEMBERS:
        import_module(module)
    serve(socket.socket(fileno=descriptor), OTHERS)


if __name__ == "__main__":
    main(int(sys.argv[1]))
