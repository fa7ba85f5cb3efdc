"""A second connection to the coordinator, served by a separate thread.

The thread answers pings while the process computes, loads data or waits on another socket, so an unanswered ping means
that the whole process is frozen. When the connection ends, the process ends too, even if it is blocked.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from . import control
from .connection import Connection, limited_to
from .endpoint import dial
from .launch import Launch

PARTING_SECONDS = 1.0
"""Time that the process may take to end by itself after its coordinator has ended."""
PING_LIMIT = 1 << 12
"""Maximum bytes of a ping."""


def _exit() -> None:
    os._exit(1)


def hold(launch: Launch, node: str) -> "Lifeline":
    """Open the lifeline of a member. OSError if its coordinator does not answer."""
    connection = dial(launch.coordinator, bytes.fromhex(launch.secret), node=node)
    control.send(connection, control.Alive(launch.member))
    return Lifeline(connection)


def answer_pings(connection: Connection) -> None:
    """Answer pings until another message arrives. Raises OSError when the connection ends."""
    while isinstance(message := control.receive(connection).message, control.Ping):
        control.send(connection, control.Pong(message.number))


class Lifeline:
    """Answers pings on an authenticated, blocking connection until `close`."""

    def __init__(self, connection: Connection, end: Callable[[], None] = _exit) -> None:
        """Start the thread. It calls `end` PARTING_SECONDS after the peer has closed the connection."""
        self._connection, self._end = connection, end
        self._closed = threading.Event()
        connection.allocate = limited_to(PING_LIMIT)
        self._thread = threading.Thread(target=self._answer, name="lifeline", daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        with suppress(OSError):
            answer_pings(self._connection)
        if not self._closed.wait(PARTING_SECONDS):
            self._end()

    def close(self) -> None:
        """Stop answering without ending the process. Harmless when repeated."""
        self._closed.set()
        self._connection.interrupt()
        self._thread.join()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
