"""One frame: a fixed binary header, then as many bytes as it announces.

    kind u8 | zero u8 | slot u16 | generation u32 | round u64 | first u32 | last u32 | length u64

Little-endian, 32 bytes. `generation` fences members of an earlier incarnation; `round`, `first` and `last` name the
work that the frame is about, `slot` where its gradient lies, where it is about any. Nothing is ever pickled.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

HEADER = struct.Struct("<BxHIQIIQ")


class ProtocolError(ConnectionError):
    """The peer said something that the protocol does not allow; the connection is worthless from here on."""


class Kind(IntEnum):
    """What a frame says. W: worker, S: parameter server, C: coordinator; any: whoever dials or answers."""

    CHALLENGE = 1  # listener to dialler: prove that you know the secret
    PROOF = 2  # dialler to listener and back
    CONTROL = 3  # C and anybody: a message of `control`, as JSON, with or without arrays
    ATTACH = 4  # W to S: the worker's number in `first`
    ATTACHED = 5  # S to W: sizes; on one machine with the descriptors of weights and gradients
    WEIGHTS = 6  # S to W, TCP only: the weights that round `round` begins with
    ASSIGN = 7  # S to W: compute leaves `first` to `last` - 1 of round `round`
    PUSH = 8  # W to S: the sum over node (`first`, `last`) of round `round`
    REFUSED = (
        9  # S to W: the push of that node counts for nothing; the payload says why. To a dialler: its proof is wrong
    )
    STOP = 10  # S to W: there is no more work
    SCORES = 11  # W to S: scores of the rows of node (`first`, `last`) of round `round`, before its PUSH


@dataclass(slots=True)
class Header:
    """The fixed part of a frame; `length` is the payload's in bytes."""

    kind: Kind
    generation: int = 0
    round: int = 0
    first: int = 0
    last: int = 0
    slot: int = 0
    length: int = 0

    def pack(self) -> bytes:
        return HEADER.pack(self.kind, self.slot, self.generation, self.round, self.first, self.last, self.length)

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview) -> Self:
        kind, slot, generation, round_, first, last, length = HEADER.unpack(data)
        try:
            return cls(Kind(kind), generation, round_, first, last, slot, length)
        except ValueError:
            raise ProtocolError(f"a frame of unknown kind {kind}") from None
