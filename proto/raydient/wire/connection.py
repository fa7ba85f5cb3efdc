"""Frames over a stream socket, blocking or not. A Unix socket also carries file descriptors."""

import array
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile

import numpy as np

from .frames import HEADER, Header, ProtocolError

Buffer = bytes | bytearray | memoryview

_MAXIMUM_DESCRIPTORS = 4
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_CONTROL_SPACE = socket.CMSG_SPACE(_MAXIMUM_DESCRIPTORS * array.array("i").itemsize)


@dataclass(slots=True)
class Frame:
    """A received frame. The receiver owns the payload; descriptors that are not popped are closed with the frame."""

    header: Header
    payload: Buffer = b""
    descriptors: list[int] = field(default_factory=list)

    def __del__(self) -> None:
        _close_all(self.descriptors)


def limited_to(limit: int) -> Callable[[Header], bytearray]:
    """Return an allocator of payloads that refuses more than `limit` bytes before it allocates."""

    def allocate(header: Header) -> bytearray:
        if header.length > limit:
            raise ProtocolError(f"a {header.kind.name} frame of {header.length} bytes, at most {limit} are allowed")
        return bytearray(header.length)

    return allocate


def unlimited(header: Header) -> memoryview:
    """Allocate any size, for trusted peers. Pages are touched only as data is received."""
    return np.empty(header.length, np.uint8).data


class Connection:
    """A stream of frames in both directions. Not thread-safe: one thread owns a connection.

    On a blocking socket `receive` waits for a whole frame and `send` until the kernel has taken everything. On a
    non-blocking socket `receive` returns None until a frame is complete, and bytes that `send` could not hand to the
    kernel wait for `flush` (see `pending`).

    Attributes:
        allocate: returns the buffer for an announced payload, of exactly its length; may raise ProtocolError. Replace
            it to receive in place.
    """

    def __init__(self, sock: socket.socket, allocate: Callable[[Header], bytearray | memoryview]) -> None:
        self.socket = sock
        self.allocate = allocate
        self.is_local = sock.family == socket.AF_UNIX
        self._head = bytearray(HEADER.size)
        self._view = memoryview(self._head)  # the buffer being filled
        self._filled = 0
        self._frame: Frame | None = None  # its header is complete, its payload is not
        self._descriptors: list[int] = []
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()

    def fileno(self) -> int:
        return self.socket.fileno()

    # ---- receiving

    def receive(self) -> Frame | None:
        """Return the next frame, or None if it is not complete yet (non-blocking sockets only).

        Raises ConnectionError if the peer closed the connection or breaks the protocol.
        """
        while True:
            if self._filled < len(self._view):
                try:
                    count = self._read()
                except BlockingIOError:
                    return None
                if count == 0:
                    raise ConnectionError("the peer closed the connection")
                self._filled += count
                continue
            if self._frame is None:
                header = Header.unpack(self._head)
                self._frame = Frame(header, b"", self._descriptors)
                self._descriptors = []
                if header.length:
                    payload = self.allocate(header)
                    self._frame.payload = payload
                    self._view, self._filled = memoryview(payload).cast("B"), 0
                    continue
            frame, self._frame = self._frame, None
            self._view, self._filled = memoryview(self._head), 0
            return frame

    def _read(self) -> int:
        rest = self._view[self._filled :]
        if not self.is_local or self._frame is not None:
            return self.socket.recv_into(rest)
        # Descriptors arrive with a header's bytes, never with a payload's.
        count, ancillary, _, _ = self.socket.recvmsg_into([rest], _CONTROL_SPACE, _CLOEXEC)
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(data[: len(data) - len(data) % received.itemsize])
                self._descriptors.extend(received)
        return count

    # ---- sending

    def send(self, header: Header, *payload: Buffer, descriptors: Sequence[int] = ()) -> None:
        """Send one frame and set the length in its header. The payload must not change while it is `pending`.

        Raises ConnectionError if the peer closed the connection.
        """
        self.put(header, *payload, descriptors=descriptors)
        self.flush()

    def put(self, header: Header, *payload: Buffer, descriptors: Sequence[int] = ()) -> None:
        """Add one frame to those that the next `flush` or `send` hands to the kernel; see `send`."""
        assert self.is_local or not descriptors, "descriptors travel over Unix sockets only"
        parts = [memoryview(part).cast("B") for part in payload if len(part)]
        header.length = sum(len(part) for part in parts)
        # Duplicates, because the caller's may be closed before the kernel has taken them.
        self._outgoing.append((memoryview(header.pack()), [os.dup(d) for d in descriptors]))
        self._outgoing.extend((part, []) for part in parts)

    def begin(self, header: Header, length: int) -> None:
        """Begin a frame whose payload of `length` bytes follows in calls of `more`, before any other frame."""
        header.length = length
        self._outgoing.append((memoryview(header.pack()), []))

    def more(self, part: Buffer) -> None:
        """Send the next piece of the payload of the frame that `begin` began; see `send`."""
        self._outgoing.append((memoryview(part).cast("B"), []))
        self.flush()

    @property
    def pending(self) -> bool:
        """True if bytes wait for `flush`."""
        return bool(self._outgoing)

    @property
    def unsent(self) -> int:
        """Number of bytes that wait for `flush`."""
        return sum(len(part) for part, _ in self._outgoing)

    def flush(self, *, wait: bool = True) -> None:
        """Hand the kernel as many bytes as it takes; without `wait` a blocking socket does not block either."""
        outgoing = self._outgoing
        while outgoing:
            head, descriptors = outgoing[0]
            try:
                if descriptors:
                    # In a call of its own, so that the receiver finds them with the header's bytes.
                    sent = socket.send_fds(self.socket, [head], descriptors)
                    _close_all(descriptors)
                else:
                    plain = takewhile(lambda item: not item[1], islice(outgoing, 8))
                    sent = self.socket.sendmsg([part for part, _ in plain], (), 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            while sent:
                part, _ = outgoing[0]
                if sent < len(part):
                    outgoing[0] = part[sent:], []
                    break
                sent -= len(part)
                outgoing.popleft()

    def interrupt(self) -> None:
        """Make a `receive` that blocks another thread raise ConnectionError. Harmless when repeated."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket and every descriptor that was not taken. Harmless when repeated."""
        _close_all(self._descriptors)
        self._frame = None
        self.allocate = limited_to(0)  # the previous one may hold a reference to this connection
        for _, descriptors in self._outgoing:
            _close_all(descriptors)
        self._outgoing.clear()
        self.socket.close()


def _close_all(descriptors: list[int]) -> None:
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop())
