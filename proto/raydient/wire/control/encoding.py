"""Messages in CONTROL frames.

The payload of a frame begins with a JSON text, `{"type": name, "body": fields, "places": ..., "size": ...}`; `first` of
the header is its length in bytes. If arrays belong to the message, they are in one segment of `size` bytes, and
`places` gives type, shape and offset of each by name. Over a Unix socket the segment travels as a descriptor, so both
ends map the same memory; over TCP its bytes follow the JSON text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from raydient.steps.arrays import CACHE_LINE, AnyArray
from raydient.steps.places import Place, arrays_in
from raydient.wire.connection import Connection, Frame
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.memory import Bundle, Segment

from .members import MemberMessage
from .orders import MemberOrder
from .reporting import ReportingMessage
from .shards import ShardMessage

Message = MemberMessage | MemberOrder | ReportingMessage | ShardMessage

_TYPES: dict[str, type] = {t.__name__: t for t in Message.__args__}


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_TYPES[name])


Arrays = Mapping[str, AnyArray]
"""Arrays by name."""


class Received(NamedTuple):
    """A message and its arrays."""

    message: Message
    arrays: Arrays


@dataclass(frozen=True, slots=True)
class _Envelope:
    type: str
    body: dict[str, Any]
    places: dict[str, Place] = field(default_factory=dict)
    size: int = 0


_ENVELOPE = TypeAdapter(_Envelope)


@cache
def _names(kind: type) -> list[str]:
    return [one.name for one in fields(kind)]


def _as_dict(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name; unlike `asdict` it does not copy them."""
    return {name: getattr(value, name) for name in _names(value.__class__)}


_JSON = json.JSONEncoder(separators=(",", ":"), default=_as_dict)


def send(connection: Connection, message: Message, bundle: Bundle | None = None) -> None:
    """Send a message with the arrays of `bundle`, which must not change afterwards. Raises OSError."""
    envelope: dict[str, Any] = {"type": type(message).__name__, "body": message}
    if bundle is not None:
        envelope |= {"places": dict(bundle.places), "size": bundle.segment.size}
    text = _JSON.encode(envelope).encode()
    text = text.ljust(-(-len(text) // CACHE_LINE) * CACHE_LINE)  # so that arrays behind it are aligned
    header = Header(Kind.CONTROL, first=len(text))
    if bundle is None:
        connection.send(header, text)
    elif connection.is_local:
        connection.send(header, text, descriptors=[bundle.segment.descriptor])
    else:
        connection.send(header, text, bundle.segment.buffer)


def decode(frame: Frame) -> Received:
    """Return the message of a CONTROL frame; its payload and descriptor belong to the arrays then.

    Raises ProtocolError if the frame has no valid message.
    """
    if frame.header.kind is not Kind.CONTROL:
        raise ProtocolError(f"expected a message, got a {frame.header.kind.name} frame")
    text = bytes(memoryview(frame.payload)[: frame.header.first])
    try:
        envelope = _ENVELOPE.validate_json(text)
        message = _adapter(envelope.type).validate_python(envelope.body)
        if not envelope.places:
            return Received(message, {})
        if frame.descriptors:
            segment = Segment(frame.descriptors.pop(0), envelope.size)
            return Received(message, Bundle(segment, envelope.places).arrays)
        rest = memoryview(frame.payload)[frame.header.first :]
        if len(rest) != envelope.size:
            raise ValueError(f"{len(rest)} bytes of arrays, {envelope.size} were announced")
        return Received(message, arrays_in(rest, envelope.places))
    except (KeyError, ValueError, OverflowError, OSError) as error:
        # OSError, OverflowError: the segment cannot be mapped or is too large to exist.
        raise ProtocolError(f"a control message cannot be decoded: {error}") from None


def receive(connection: Connection) -> Received:
    """Wait for the next message on a blocking connection. Raises ConnectionError, ProtocolError."""
    frame = connection.receive()
    assert frame is not None, "a blocking connection returns whole frames"
    return decode(frame)
