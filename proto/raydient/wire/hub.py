"""The listening side: one thread, any number of connections, frames in the order of their arrival."""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import control
from .connection import Connection, Frame, limited_to
from .endpoint import CONNECT_SECONDS, Endpoint, Transport, dial, may_connect, new_unix_name, tune, unix_address
from .frames import Header, Kind, ProtocolError
from .handshake import MAXIMUM_FRAME, ListenerProof
from .memory import Bundle
from .network import CLOSED, Closed
from .refusals import Refusals

PROOF_SECONDS = 3.0
"""Time that a new connection may take to prove the secret; a member that was too slow dials again."""
MAXIMUM_STRANGERS = 64
"""Maximum number of connections without proof per listener. A further one closes the oldest, so that connections that
never prove the secret cannot keep members out.
"""
ACCEPTED_IN_TURN = 16
"""Maximum number of connections that one `poll` accepts from one listener."""
FRAMES_IN_TURN = 16
"""Maximum number of frames that one `poll` reads from one connection, so that a fast sender delays no other peer."""


class Hub:
    """A `Network` of sockets: accepts connections on a Unix and a TCP socket and reads from all of them.

    A connection is unusable until its peer has proven the secret; it then keeps the limit on payloads that `allocate`
    sets. A peer that breaks the protocol is disconnected and reported as closed.
    """

    def __init__(self, secret: bytes, payload_limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.refusals = Refusals()
        self._secret = secret
        self._allocate = limited_to(payload_limit)
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._strangers: dict[Connection, tuple[ListenerProof, float]] = {}
        self._writers: set[Connection] = set()  # registered for writing too
        self._connections: set[Connection] = set()
        self._gone: list[Connection] = []  # ended while sending, not reported yet
        self._unix_path: Path | None = None

    def listen(self, host: str, unix: str | None = None, node: str = "") -> Endpoint:
        """Open both sockets; `host` is the address that other machines use. OSError if it is not this machine's.

        If `host` is empty, only the Unix socket is opened. `node` is this node's name, see `Endpoint`.
        """
        name = unix or new_unix_name()
        self._listen(socket.AF_UNIX, unix_address(name))
        if not name.startswith("@"):
            self._unix_path = Path(name)
        if not host:
            return Endpoint(name, host, 0, node)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            tcp_listener = self._listen(family, (host, 0))
        except OSError:
            self.close()
            raise
        return Endpoint(name, host, tcp_listener.getsockname()[1], node)

    def _listen(self, family: socket.AddressFamily, address: str | tuple[str, int]) -> socket.socket:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._listeners.append(listener)
        return listener

    def now(self) -> float:
        """Return monotonic seconds."""
        return self._clock()

    def dial(
        self,
        endpoint: Endpoint,
        transport: Transport = Transport.AUTO,
        node: str = "",
        timeout_seconds: float = CONNECT_SECONDS,
    ) -> Connection:
        """Connect from `node` and prove the secret in both directions; see `endpoint.dial`."""
        return dial(endpoint, self._secret, transport, node, timeout_seconds)

    def adopt(self, connection: Connection) -> None:
        """Have `poll` read from a connection that was dialled."""
        connection.socket.setblocking(False)
        connection.allocate = self._allocate
        self._selector.register(connection, selectors.EVENT_READ)
        self._connections.add(connection)

    def release(self, connection: Connection) -> None:
        """Undo `adopt`: the connection is blocking and the caller's own again. ConnectionError if it has ended."""
        if connection not in self._connections:
            raise ConnectionError("the peer closed the connection")
        self._selector.unregister(connection)
        self._connections.discard(connection)
        self._writers.discard(connection)
        connection.socket.setblocking(True)

    def poll(self, timeout_seconds: float | None) -> Iterator[tuple[Connection, Frame | Closed]]:
        """Wait for events; yield complete frames and the end of each authenticated connection.

        A call reads at most FRAMES_IN_TURN frames from each connection, and the next call continues without waiting. So
        a fast sender delays neither the caller's other work nor other connections.
        """
        for key, events in self._selector.select(0 if self._gone else timeout_seconds):
            peer = key.fileobj
            if not isinstance(peer, Connection):
                assert isinstance(peer, socket.socket)
                for _ in range(ACCEPTED_IN_TURN):
                    if not self._accept(peer):
                        break
                continue
            if peer not in self._connections and peer not in self._strangers:
                continue  # dropped while this round of events was handled
            try:
                if events & selectors.EVENT_WRITE:
                    peer.flush()
                    self._watch(peer)
                if events & selectors.EVENT_READ:
                    yield from self._read(peer)
            except OSError as error:
                known = peer in self._connections
                if isinstance(error, ProtocolError):
                    self.refusals.count(error, proven=known)
                self.drop(peer)
                if known:
                    yield peer, CLOSED
        while self._gone:
            yield self._gone.pop(), CLOSED
        self._expire()

    def _read(self, peer: Connection) -> Iterator[tuple[Connection, Frame]]:
        for _ in range(FRAMES_IN_TURN):
            frame = peer.receive()
            if frame is None:
                return
            if peer in self._strangers:
                self._check(peer, frame)
                del self._strangers[peer]
                self._connections.add(peer)
                peer.allocate = self._allocate
            else:
                yield peer, frame
                if peer not in self._connections:
                    return

    def _check(self, stranger: Connection, frame: Frame) -> None:
        proof, _ = self._strangers[stranger]
        try:
            proof.check(stranger, frame.header.kind, bytes(frame.payload))
        except ProtocolError:
            # REFUSED distinguishes a wrong secret from a displaced connection, which has to be dialled again.
            stranger.send(Header(Kind.REFUSED))
            raise

    def _accept(self, listener: socket.socket) -> bool:
        """Accept one connection; return False if none is waiting."""
        try:
            sock, _ = listener.accept()
        except OSError:
            return False  # none is left, or the process is out of descriptors: the peer tries again
        if not may_connect(sock):
            sock.close()
            return True
        sock.setblocking(False)
        tune(sock)
        connection, proof = Connection(sock, limited_to(MAXIMUM_FRAME)), ListenerProof(self._secret)
        waiting = [stranger for stranger in self._strangers if stranger.is_local == connection.is_local]
        if len(waiting) >= MAXIMUM_STRANGERS:
            self.drop(waiting[0])
        try:
            proof.challenge(connection)
        except OSError:
            sock.close()
            return True
        self._selector.register(connection, selectors.EVENT_READ)
        self._strangers[connection] = proof, self._clock() + PROOF_SECONDS
        return True

    def _expire(self) -> None:
        if self._strangers:
            now = self._clock()
            for stranger in [s for s, (_, deadline) in self._strangers.items() if deadline < now]:
                self.drop(stranger)

    def send(self, connection: Connection, message: control.Message, bundle: Bundle | None = None) -> None:
        """Send a message with the arrays of `bundle`. A peer that is gone is reported by the next `poll`."""
        with self.sending(connection):
            control.send(connection, message, bundle)

    @contextlib.contextmanager
    def sending(self, connection: Connection) -> Iterator[None]:
        """Return a context for sending. It flushes at the end, and `poll` reports a peer that closed the connection."""
        try:
            yield
            self.flushed(connection)
        except OSError:
            known = connection in self._connections
            self.drop(connection)
            if known:
                self._gone.append(connection)

    def flushed(self, connection: Connection) -> None:
        """Have `poll` send the bytes that the kernel did not take. Call it after `send`."""
        if connection.pending or connection in self._writers:
            self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.pending else 0)
        self._selector.modify(connection, events)
        (self._writers.add if connection.pending else self._writers.discard)(connection)

    def drop(self, connection: Connection) -> None:
        """Close a connection; no event follows for it."""
        if connection in self._connections or connection in self._strangers:
            self._selector.unregister(connection)
        self._connections.discard(connection)
        self._writers.discard(connection)
        self._strangers.pop(connection, None)
        connection.close()

    def drop_all(self) -> None:
        """Close all connections; the listeners stay. No event follows for any of them."""
        for connection in [*self._connections, *self._strangers]:
            self.drop(connection)
        self._gone.clear()

    def close(self) -> None:
        """Close everything. Harmless when repeated."""
        self.drop_all()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._selector.close()
        if self._unix_path is not None:
            with contextlib.suppress(OSError):
                self._unix_path.unlink()
