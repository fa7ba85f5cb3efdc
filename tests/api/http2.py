"""Raw HTTP/2 frames that no gRPC library sends."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    """One frame: its kind and flags as numbers."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def connect(address, *, settings=True):
    """Connect, and exchange settings if `settings` is set."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    if settings:
        connection.sendall(PREFACE + frame(4, 0, 0, b""))
    return connection


def call(connection, path, *more, data=b""):
    """Make a call with raw headers, `more` headers and the body `data`. Returns the bytes received until a status."""
    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    headers += [(b"te", b"trailers"), (b"content-type", b"application/grpc"), *more]
    block = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in headers)
    connection.sendall(frame(1, 4, 1, block) + frame(0, 1, 1, data))
    received = b""
    while b"grpc-status" not in received and (more := connection.recv(4096)):
        received += more
    return received
