"""One frame: a fixed binary header, then as many bytes as it announces.

    kind u8 | zero u8 | slot u16 | generation u32 | round u64 | first u32 | last u32 | length u64

Little-endian, 32 bytes. `generation` fences members that work on a state from before a rollback. `round`, `first` and
`last` are the round and the leaves of the frame's work; `slot` is the slot of its gradient, where it has one. Nothing
is ever pickled.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

HEADER = struct.Struct("<BxHIQIIQ")
RATE = struct.Struct("<d")
"""The payload of an ASSIGN frame of a job whose workers make local steps."""


class ProtocolError(ConnectionError):
    """A peer sent something that the protocol does not allow. The connection cannot be used any further."""


class DepartedPeerError(ProtocolError):
    """A peer that was ended meanwhile; frames that it sent before are no fault of it."""


class UnexpectedPeerError(ProtocolError):
    """A peer that has the secret claims a number, a generation or a range that is not its own."""


class Kind(IntEnum):
    """Kind of a frame; see `FRAMES`."""

    CHALLENGE = 1
    PROOF = 2
    CONTROL = 3
    ATTACH = 4
    ATTACHED = 5
    WEIGHTS = 6
    ASSIGN = 7
    PUSH = 8
    REFUSED = 9
    STOP = 10
    SCORES = 11
    GRADIENT = 12
    ARRIVED = 13
    FEED = 14
    REQUEST = 15
    ANSWER = 16
    PULL = 17
    ROWS = 18
    LENGTH = 19
    RESIDUALS = 20


_DOWN, _UP = "conductor to worker", "worker to conductor"
_SHARD_DOWN, _SHARD_UP = "conductor to shard", "shard to conductor"
FRAMES: Mapping[Kind, tuple[str, str]] = {
    Kind.CHALLENGE: ("listener to dialler", "a nonce, which the dialler answers with a proof that it has the secret"),
    Kind.PROOF: ("listener and dialler, both ways", "nonce and code; the code of the listener"),
    Kind.CONTROL: (
        "coordinator to member or service, both ways",
        "a message of `control` as JSON, with or without arrays",
    ),
    Kind.ATTACH: ("worker to conductor or shard", "the number of the worker, in `first`"),
    Kind.ATTACHED: (
        "conductor or shard to worker",
        "from the conductor sizes; on one machine the descriptors of weights, gradients and a copy of the weights",
    ),
    Kind.WEIGHTS: (
        "shard to worker",
        "over TCP the shard's weights, when they have changed; in shared memory nothing: the copy of the worker is new",
    ),
    Kind.ASSIGN: (
        _DOWN,
        "compute leaves `first` to `last` - 1 of `round`, at a rate of local steps; keep the `slot` rounds before",
    ),
    Kind.PUSH: (
        _UP,
        "the sum over node (`first`, `last`) of `round`: metrics and timings; its gradient has been sent",
    ),
    Kind.REFUSED: (
        _DOWN,
        "the push of that node is refused: `LATE`, `EARLY` or `DUPLICATE`; to a dialler: wrong proof",
    ),
    Kind.STOP: (_DOWN, "there is no more work: the coordinator has the final snapshot"),
    Kind.SCORES: (_UP, "scores of the rows of node (`first`, `last`) of `round`, before its `PUSH`"),
    Kind.GRADIENT: (
        "worker to shard, TCP only",
        "the next part, from the end on, of the shard's gradient of node (`first`, `last`) of `round`",
    ),
    Kind.ARRIVED: (_SHARD_UP, "a worker's gradient of node (`first`, `last`) of `round` has arrived"),
    Kind.FEED: (
        f"{_SHARD_DOWN}, TCP only",
        "worker `first` takes part in `round`, needs the weights, and keeps gradients of `last` rounds before",
    ),
    Kind.REQUEST: (_SHARD_DOWN, "update, reduce, apply or examine (`slot`) the step of `round`"),
    Kind.ANSWER: (_SHARD_UP, "norms and measurements of the step"),
    Kind.PULL: ("worker to shard, TCP only", "numbers of the rows of the shard's tables that the worker needs"),
    Kind.ROWS: ("shard to worker, TCP only", "these rows of version `round`"),
    Kind.LENGTH: (
        _DOWN,
        "the job has `first` epochs from the next assignment on; it ends at step `last` if that is not 0",
    ),
    Kind.RESIDUALS: (_DOWN, "send the coordinator the residuals before `round`, for a snapshot"),
}
"""Direction and meaning of each kind; `make docs` writes them into docs/architecture.md."""


@dataclass(slots=True)
class Header:
    """The fixed part of a frame. `length` is the number of bytes of the payload."""

    kind: Kind
    generation: int = 0
    round: int = 0
    first: int = 0
    last: int = 0
    slot: int = 0
    length: int = 0

    @property
    def work(self) -> tuple[int, int, int]:
        """Round and leaves of the work of the frame."""
        return self.round, self.first, self.last

    def pack(self) -> bytes:
        return HEADER.pack(self.kind, self.slot, self.generation, self.round, self.first, self.last, self.length)

    @classmethod
    def unpack(cls, data: bytes | bytearray | memoryview) -> Self:
        kind, slot, generation, round_, first, last, length = HEADER.unpack(data)
        try:
            return cls(Kind(kind), generation, round_, first, last, slot, length)
        except ValueError:
            raise ProtocolError(f"a frame of unknown kind {kind}") from None
