"""The conductor's connections to workers: assignments go out; sums, timings, scores and gradients come in."""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from raydient.steps.arrays import Vector
from raydient.steps.schedule import Schedule
from raydient.steps.scores import Scores
from raydient.wire.connection import Connection, Frame, limited_to
from raydient.wire.frames import RATE, Header, Kind, ProtocolError
from raydient.wire.memory import Bundle, Segment
from raydient.wire.terms import Note, Terms

from .actions import Assign
from .position import Sums
from .sources import Received, Rows, SharedSlots, Source

SLOTS = "slots"
"""Name of the array that holds a worker's slots, in the bundle that every shard of the node maps."""


class Link:
    """The connection to one attached worker.

    A worker that shares memory reads the weights themselves, or a copy of its own, which changes between assignments.

    Attributes:
        connection, worker: the worker's connection and number.
        source: its gradients by the weights of the first shard.
        slots: its slots, for the other shards of the node; None over TCP.
    """

    def __init__(
        self, connection: Connection, worker: int, weights: Segment | Vector, terms: Terms, generation: int
    ) -> None:
        """Attach a worker: send it the terms, and with shared memory the descriptors.

        `weights` are those of the first shard if they have to travel, else the segment of all weights.
        """
        self.connection, self.worker = connection, worker
        self.slots: Bundle | None = None
        self.source: Source
        self._terms, self._of_first_shard, self._generation = terms, terms.of_shard(0), generation
        self._scores: Frame | None = None
        self._received: Received | None = None
        self._shared: SharedSlots | None = None
        self._copied = -1  # version of the copy of the weights that the worker reads; -1: it reads the weights
        descriptors = []
        if isinstance(weights, Segment):
            self._weights, copy = terms.weights_in(weights), Segment.create(terms.weights_bytes)
            self._copy = terms.weights_in(copy)  # takes no memory before its first use
            self.slots = Bundle.allocate({SLOTS: ("<f4", (terms.slots_bytes // 4,))})
            slots = terms.slots_of(self.slots.arrays[SLOTS])
            self.source = self._shared = SharedSlots(self._of_first_shard, slots)
            descriptors = [weights.descriptor, self.slots.segment.descriptor, copy.descriptor]
        else:
            self.source = self._received = Received(connection, weights, terms, 0, generation)
        connection.allocate = _allocator(terms, self._received)
        connection.send(Header(Kind.ATTACHED, generation), terms.pack(), descriptors=descriptors)

    def assign(self, assign: Assign, version: int, *, copies: bool = False, rate: float | None = None) -> None:
        """Send the assignment, and this version of the weights if the worker does not have it. Never blocks.

        `copies`: a worker that shares memory reads a copy of the weights from now on. `rate` is the learning rate of
        local steps.
        """
        self.source.begin(assign.round, version, kept=assign.kept)
        if self.slots is not None and (copies or self._copied >= 0) and version != self._copied:
            np.copyto(self._copy, self._weights)
            self._copied = version
            self.connection.send(Header(Kind.WEIGHTS, self._generation, version))
        header = Header(Kind.ASSIGN, self._generation, assign.round, assign.first, assign.last, slot=assign.kept)
        self.connection.send(header, b"" if rate is None else RATE.pack(rate))

    def set_length(self, schedule: Schedule) -> None:
        """Send the end of the job, which the worker uses from the next assignment on."""
        self.connection.send(Header(Kind.LENGTH, self._generation, 0, schedule.epochs, schedule.max_steps))

    def request_residuals(self, round_: int) -> None:
        """Request the residuals of the worker's leaves before a round, for a snapshot."""
        self.connection.send(Header(Kind.RESIDUALS, self._generation, round_))

    def take_gradient(self, push: Frame) -> int:
        """Take the gradient of a push; return the bytes of both. ProtocolError if no worker can compute it."""
        header = push.header
        if self._shared is not None:
            self._shared.check(header.slot)
            return self._terms.note_bytes + 4 * self._shared.packed_size(header.slot)
        node = header.first, header.last
        gradient, coding = self.source.gradient(header.round, node, header.slot), self._of_first_shard.coding_of(node)
        return self._terms.note_bytes + (4 * gradient.packed_size if coding is None else coding.packed_bytes)

    def keep_part(self, frame: Frame) -> None:
        """Keep a part of a gradient, for the push that follows."""
        if self._received is None:
            raise ProtocolError("a worker that shares memory cannot send a gradient")
        self._received.keep(frame)

    def rows(self, pull: Frame, version: int) -> Rows:
        """Return the rows of tables that the worker pulls; see `Received.rows`."""
        if self._received is None:
            raise ProtocolError("a worker that shares memory cannot pull rows")
        return self._received.rows(pull, version)

    def note(self, push: Frame) -> Note:
        """Return the note of a push."""
        return self._terms.note_in(push.payload)

    def keep_scores(self, frame: Frame) -> None:
        """Keep the scores for the push that follows."""
        self._scores = frame

    def scores(self, push: Header, rows: int) -> Scores | None:
        """Return the scores that preceded a push, one for each of the node's `rows`; None if no metric ranks rows."""
        if not self._terms.scores:
            return None
        kept, self._scores = self._scores, None
        if kept is None or kept.header.work != push.work:
            raise ProtocolError("a push without its scores")
        return self._terms.scores_in(kept.payload, rows)

    def refuse(self, push: Header, reason: str) -> None:
        """Answer a push that does not count, with the reason."""
        text = json.dumps({"reason": reason}).encode()
        self.connection.send(Header(Kind.REFUSED, push.generation, push.round, push.first, push.last), text)


class Push(NamedTuple):
    """A push whose gradient may still travel to other shards."""

    link: Link
    header: Header
    sums: Sums
    scores: Scores | None
    seconds: Sequence[float]
    size_bytes: int


def _allocator(terms: Terms, received: Received | None) -> Callable[[Header], bytearray | memoryview]:
    """Return the allocator of a worker's frames. It does not refer to the link, whose memory ends with the link."""
    of_scores, of_note = limited_to(terms.score_bytes), limited_to(terms.note_bytes)

    def allocate(header: Header) -> bytearray | memoryview:
        if header.kind is Kind.SCORES:
            return of_scores(header)
        buffer = received.allocate(header) if received is not None else None
        return of_note(header) if buffer is None else buffer

    return allocate
