"""Endpoints of processes, and connections to them: shared memory if both run on one node, else TCP."""

import os
import secrets
import socket
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .connection import Connection, limited_to
from .frames import ProtocolError
from .handshake import MAXIMUM_FRAME, prove_as_dialler

CONNECT_SECONDS = 10.0
RETRY_SECONDS = 0.01
"""Pause before the second attempt if the listener closed the connection; doubled each time, up to 0.5 s."""

_CREDENTIALS = struct.Struct("3i")
"""struct ucred: process, user, group."""


class Transport(StrEnum):
    """The transport of weights and gradients.

    AUTO is shared memory if both ends run on one node and the Unix socket answers, else TCP.
    """

    AUTO = "auto"
    SHARED_MEMORY = "shared-memory"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The addresses at which one process listens.

    Attributes:
        unix: name of its Unix socket; a leading `@` stands for Linux's abstract namespace, which leaves no file behind.
        host, port: of its TCP socket.
        node: the cluster's name for the node of the process. Several nodes may share a host, even a machine. Empty in
            a cluster of one node.
    """

    unix: str
    host: str
    port: int
    node: str = ""


def new_unix_name() -> str:
    """Return a new unique name of a Unix socket. It is no secret, see `handshake`."""
    name = f"raydient-{secrets.token_hex(12)}"
    return f"@{name}" if sys.platform == "linux" else str(Path(tempfile.gettempdir()) / name)


def unix_address(name: str) -> str:
    """Return the address of a Unix socket in the form of the operating system."""
    return "\0" + name[1:] if name.startswith("@") else name


def dial(
    endpoint: Endpoint,
    secret: bytes,
    transport: Transport = Transport.AUTO,
    node: str = "",
    timeout_seconds: float = CONNECT_SECONDS,
) -> Connection:
    """Connect from `node` and prove the secret in both directions. The connection is blocking.

    Raises OSError if there is no listener, TimeoutError if it does not answer in time, ProtocolError if it does not
    have the secret.
    """
    if transport is Transport.SHARED_MEMORY or (transport is Transport.AUTO and endpoint.node == node):
        try:
            return _open(socket.AF_UNIX, unix_address(endpoint.unix), secret, timeout_seconds)
        except (FileNotFoundError, ConnectionRefusedError):
            if transport is Transport.SHARED_MEMORY or not endpoint.port:
                raise
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    return _open(family, (endpoint.host, endpoint.port), secret, timeout_seconds)


def _open(
    family: socket.AddressFamily, address: str | tuple[str, int], secret: bytes, timeout_seconds: float
) -> Connection:
    deadline, pause = time.monotonic() + timeout_seconds, RETRY_SECONDS
    while True:
        try:
            return _try_open(family, address, secret, max(RETRY_SECONDS, deadline - time.monotonic()))
        except (ProtocolError, ConnectionRefusedError):
            raise
        except (ConnectionError, BlockingIOError):
            # The backlog is full, or unauthenticated connections displaced this one; another attempt may succeed.
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 0.5)


def _try_open(
    family: socket.AddressFamily, address: str | tuple[str, int], secret: bytes, timeout_seconds: float
) -> Connection:
    sock = socket.socket(family, socket.SOCK_STREAM)
    connection = Connection(sock, limited_to(MAXIMUM_FRAME))
    try:
        sock.settimeout(timeout_seconds)
        sock.connect(address)
        tune(sock)
        prove_as_dialler(connection, secret)
        sock.settimeout(None)
    except BaseException:
        connection.close()
        raise
    return connection


def listens(unix: str) -> bool:
    """Return True if a process listens at this Unix socket, even if it is too busy to answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(unix_address(unix))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except BlockingIOError:
            return True  # the backlog is full
    return True


def may_connect(sock: socket.socket) -> bool:
    """Return False for an accepted connection of another user that is not root: it cannot have the secret.

    Only a Unix socket on Linux reports the user. Other connections return True and have to prove the secret.
    """
    if sock.family != socket.AF_UNIX or sys.platform != "linux":
        return True
    return peer_user(sock) in (0, os.geteuid())


def peer_user(sock: socket.socket) -> int:
    """Return the number of the user at the other end of a Unix socket, as Linux reports it."""
    _, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(user)


def tune(sock: socket.socket) -> None:
    """Send small frames at once, and detect within a minute a peer that vanished without closing the connection."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
