"""Serializes the messages that carry a file in chunks."""

from typing import Any

from google.protobuf.message import Message


def chunk_message(kind: type[Message], chunk: bytes) -> bytes:
    """Return the bytes of `kind(chunk=chunk).SerializeToString()`.

    They are the field's number and wire type, the length and the chunk, see
    https://protobuf.dev/programming-guides/encoding/. The runtime copies a chunk into the message, and then again each
    time that its encoder doubles its buffer: 4 ms for 1 MiB in a service that sends a file, of which this takes 0.5 ms.
    """
    field = kind.DESCRIPTOR.fields_by_name["chunk"]
    return b"".join((_varint(field.number << 3 | 2), _varint(len(chunk)), chunk))


def serialized(message: Any) -> bytes:
    """Return the bytes of a message, which may be a `chunk_message`."""
    whole: bytes = message if isinstance(message, bytes) else message.SerializeToString()
    return whole


def _varint(number: int) -> bytes:
    """Seven bits in each byte, the lowest first; the highest bit says that another byte follows."""
    low = []
    while number > 0x7F:
        low.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*low, number])
