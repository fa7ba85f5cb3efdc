"""The network and the clock of one process, as the shells around the algorithms see them.

`Hub` implements it with sockets. A simulation implements it in memory, with delays, losses and a clock of its own. The
shells wait nowhere else than in `poll`, in `dial` and in the `receive` of a connection, so a simulation runs one
process at a time and switches to another there.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from . import control
from .connection import Connection, Frame
from .endpoint import CONNECT_SECONDS, Endpoint, Transport
from .memory import Bundle
from .refusals import Refusals


class Closed:
    """Stands for a frame in the results of `Network.poll` when a connection has ended."""


CLOSED = Closed()


class Network(Protocol):
    """Connections whose peers have proven the job's secret. Owned by one thread.

    A connection keeps the order of its frames and loses frames only by ending. An implementation in memory returns
    objects with the public attributes of `Connection`, except its socket.

    Attributes:
        refusals: counts of the connections that were closed because of what the peer sent. `poll` counts frames that it
            refuses, its caller those that it does.
    """

    refusals: Refusals

    def now(self) -> float:
        """Return monotonic seconds."""

    def listen(self, host: str, unix: str | None = None, node: str = "") -> Endpoint:
        """Accept connections, which `poll` reads from, and return the address; see `Hub.listen`."""

    def dial(
        self,
        endpoint: Endpoint,
        transport: Transport = Transport.AUTO,
        node: str = "",
        timeout_seconds: float = CONNECT_SECONDS,
    ) -> Connection:
        """Open a connection from `node`. It is blocking and the caller's own until `adopt`.

        Raises OSError if there is no listener, TimeoutError if it does not answer in time, ProtocolError if it has
        another secret.
        """

    def adopt(self, connection: Connection) -> None:
        """Have `poll` read from a connection that was dialled."""

    def release(self, connection: Connection) -> None:
        """Undo `adopt`. ConnectionError if the connection has ended."""

    def poll(self, timeout_seconds: float | None) -> Iterable[tuple[Connection, Frame | Closed]]:
        """Wait for events; yield whole frames, and `CLOSED` once for a connection that ends by itself."""

    def send(self, connection: Connection, message: control.Message, bundle: Bundle | None = None) -> None:
        """Send a message with the arrays of `bundle`. Never blocks; a peer that is gone is reported by `poll`."""

    def sending(self, connection: Connection) -> AbstractContextManager[None]:
        """Return a context in which the connection's own methods may send, on the terms of `send`."""

    def drop(self, connection: Connection) -> None:
        """Close a connection; no event follows for it. Harmless when repeated."""

    def drop_all(self) -> None:
        """Close all connections that `poll` reads from; the listeners stay. No event follows for any of them."""

    def close(self) -> None:
        """Close all listeners and connections. Harmless when repeated."""
