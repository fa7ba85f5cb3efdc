"""Sources of the gradients of one worker for one shard: slots in shared memory, or frames over TCP.

A source also sends the shard's weights to the worker, where they have to travel.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from raydient.steps.arrays import Vector
from raydient.steps.gradient import Gradient, between
from raydient.steps.sparse import GradientError
from raydient.steps.tree import Node
from raydient.wire.connection import Connection, Frame, limited_to
from raydient.wire.frames import Header, Kind, ProtocolError
from raydient.wire.terms import ShardTerms, Terms

SMALL_BYTES = 1 << 16
"""Bytes that assignments and refusals on their way to a worker never have."""

Work = tuple[int, int, int]
"""Round and leaves of a node."""
Rows = tuple[Header, list[memoryview]]
"""Header and payload of a frame with rows of tables."""


class Source(Protocol):
    """The gradients of one worker by the weights of one shard."""

    def gradient(self, round_: int, node: Node, slot: int) -> Gradient:
        """Return the gradient of a node that was pushed; it does not change before the worker's next round.

        Raises ProtocolError if there is none, or if no worker can have computed it.
        """

    def begin(self, round_: int, version: int, *, kept: int = 0) -> None:
        """Note that the worker takes part in a round; send it this version of the weights if it lacks it.

        Gradients of more than `kept` rounds before are of no use any more.
        """

    def send_weights(self, round_: int, version: int, stop: int) -> None:
        """Send the first `stop` weights of a version of the shard's weights, if they have to travel.

        Called at the end of `round_` with growing `stop`, up to the size of the shard. Never blocks.
        """


class SharedSlots:
    """Slots that the worker writes and the shard reads: nothing is copied."""

    def __init__(self, terms: ShardTerms, slots: list[Gradient]) -> None:
        self._terms, self._slots = terms, slots

    def check(self, slot: int) -> None:
        """Raise ProtocolError unless a worker can have computed the whole gradient in this slot."""
        if slot >= len(self._slots):
            raise ProtocolError(f"slot {slot} of {len(self._slots)}")
        try:
            self._slots[slot].check()
        except GradientError as error:
            raise ProtocolError(str(error)) from error

    def packed_size(self, slot: int) -> int:
        """Return the number of values of the whole gradient in a slot, packed."""
        return self._slots[slot].packed_size

    def gradient(self, round_: int, node: Node, slot: int) -> Gradient:
        if slot >= len(self._slots):
            raise ProtocolError(f"slot {slot} of {len(self._slots)}")
        return self._terms.within(self._slots[slot])

    def begin(self, round_: int, version: int, *, kept: int = 0) -> None:
        """Do nothing: the worker has mapped the weights."""

    def send_weights(self, round_: int, version: int, stop: int) -> None:
        """Do nothing: the worker has mapped the weights."""


@dataclass(slots=True)
class _Buffer:
    """A gradient that is being received, or was; the first `missing` bytes have not come yet.

    `unpacked` is used if there are tables, or for an encoded gradient.
    """

    packed: memoryview
    missing: int = 0
    unpacked: Gradient | None = None
    round: int = -1


class Received:
    """Gradients are received into buffers that each round uses again; weights are sent from the shard's own array.

    A gradient comes in parts, in the order of backpropagation; it exists once all parts have come. Without tables and
    codec the received buffer is the gradient. Otherwise it is unpacked into a gradient, which the next round uses
    again, with tables by changing the rows in use. Weights outside tables are sent for each round, rows of tables on
    request.
    """

    def __init__(self, connection: Connection, weights: Vector, terms: Terms, shard: int, generation: int) -> None:
        self._connection, self._weights = connection, weights
        self._terms, self._most, self._generation = terms.of_shard(shard), terms.slots, generation
        self._version = -1  # of the weights sent last
        self._sent = 0  # number of these weights that were sent
        self._round = -1
        self._free: list[_Buffer] = []
        self._used: list[_Buffer] = []
        self._partial: dict[Work, _Buffer] = {}  # those of `_used` of which parts are to come
        self._kept: dict[Work, Gradient] = {}
        self._tables = [table.values(weights) for table in self._terms.pulled]
        self._weights_bytes = self._terms.weights_bytes

    def allocate(self, header: Header) -> bytearray | memoryview | None:
        """Return the place of the payload of a frame with a part of a gradient, or row numbers; else None."""
        if header.kind is Kind.PULL:
            return limited_to(self._terms.most_pull_bytes)(header)
        if header.kind is not Kind.GRADIENT:
            return None
        buffer = self._partial.get(header.work)
        missing = self._terms.bytes_of((header.first, header.last)) if buffer is None else buffer.missing
        begin, end = self._terms.part_of(header.length, missing)
        if buffer is None:
            buffer = self._partial[header.work] = self._begin_gradient(header.round)
        buffer.missing = begin
        return buffer.packed[begin:end]

    def _begin_gradient(self, round_: int) -> _Buffer:
        if sum(buffer.round == round_ for buffer in self._used) == self._most or len(self._used) > 2 * self._most:
            raise ProtocolError("more gradients than the round has leaves")
        buffer = self._free.pop() if self._free else _Buffer(np.empty(self._terms.room_bytes, np.uint8).data)
        buffer.round = round_
        self._used.append(buffer)
        return buffer

    def allocate_only(self, header: Header) -> bytearray | memoryview:
        """Return a buffer for the payload of a frame, which must be a gradient or row numbers."""
        buffer = self.allocate(header)
        if buffer is None:
            raise ProtocolError(f"a {header.kind.name} frame has no gradient")
        return buffer

    def rows(self, frame: Frame, version: int) -> Rows:
        """Return the rows of tables that a worker pulls, with the header of the answer, for `Connection.send`.

        ProtocolError unless the tables have the rows, and this version of the weights is that of the worker's round.
        """
        if frame.header.round != version or version != self._version:
            raise ProtocolError(f"rows of version {frame.header.round} are pulled, not of {version}")
        if self._connection.unsent > SMALL_BYTES:
            raise ProtocolError("rows are pulled before those pulled last have been read")
        numbers = self._terms.pull_in(frame.payload)
        rows = [values.take(part, axis=0).data for values, part in zip(self._tables, numbers, strict=True)]
        return Header(Kind.ROWS, self._generation, version), rows

    def keep(self, frame: Frame) -> int:
        """Keep a part of a gradient. Return the bytes of the gradient if it is complete now, else 0.

        ProtocolError if no worker can have computed it.
        """
        work, layout = frame.header.work, self._terms.gradient
        buffer = self._partial.get(work)
        if buffer is None:
            raise ProtocolError("a part of a gradient without bytes")
        if buffer.missing:
            return 0
        del self._partial[work]
        if (coding := self._terms.coding_of((work[1], work[2]))) is not None:
            gradient = buffer.unpacked = buffer.unpacked or layout.zeros()
            coding.unpack(np.frombuffer(buffer.packed, np.uint8), gradient)
            self._kept.setdefault(work, gradient)
            return coding.packed_bytes
        packed = np.frombuffer(frame.payload if layout.tables else buffer.packed[: self._terms.most_bytes], "<f4")
        if layout.tables:
            gradient = buffer.unpacked = buffer.unpacked or layout.zeros()
            try:
                gradient.unpack(packed)
            except GradientError as error:
                raise ProtocolError(str(error)) from error
        else:
            gradient = Gradient(layout, packed)
        self._kept.setdefault(work, gradient)
        return packed.nbytes

    def gradient(self, round_: int, node: Node, slot: int) -> Gradient:
        kept = self._kept.get((round_, *node))
        if kept is None:
            raise ProtocolError(f"no gradient of node {node} of round {round_} has arrived")
        return kept

    def begin(self, round_: int, version: int, *, kept: int = 0) -> None:
        if round_ != self._round:
            # A gradient may overtake the messages that its round and an evaluation before it begin.
            self._round, oldest = round_, round_ - kept
            self._free += [buffer for buffer in self._used if buffer.round < oldest]
            self._used = [buffer for buffer in self._used if buffer.round >= oldest]
            self._partial = {work: buffer for work, buffer in self._partial.items() if buffer.round >= oldest}
            self._kept = {work: gradient for work, gradient in self._kept.items() if work[0] >= oldest}
        if version != self._version:
            self._send(version, len(self._weights))

    def send_weights(self, round_: int, version: int, stop: int) -> None:
        if round_ == self._round:  # the worker takes part in this round and needs the weights for the next
            self._send(version, stop)

    def _send(self, version: int, stop: int) -> None:
        if version != self._version:
            self._version, self._sent = version, 0
            header = Header(Kind.WEIGHTS, self._generation, version)
            if self._weights_bytes:
                self._connection.begin(header, self._weights_bytes)
            else:
                self._connection.send(header)
        for where in between(self._terms.pulled, self._sent, stop):
            self._connection.more(self._weights[where].data)
        self._sent = stop
