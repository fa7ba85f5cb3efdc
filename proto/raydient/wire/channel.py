"""The worker's end of the data plane: channels that receive weights and push gradients, by shared memory or over TCP.

The sequence of frames with the conductor is the same for both; only the path of the payload differs:

    worker -> conductor   ATTACH   worker number
    conductor -> worker   ATTACHED sizes; on one machine also the descriptors of all weights and of this worker's slots
    conductor -> worker   WEIGHTS  (TCP only, when they have changed) those of the first shard
    conductor -> worker   ASSIGN   round and leaves
    worker -> conductor   SCORES   (where a metric ranks rows) the scores of a node's rows
    worker -> conductor   PUSH     the node's sums and timings; over TCP the first shard's gradient follows
    conductor -> worker   ASSIGN   the next round, or more leaves of this one
    conductor -> worker   STOP

A worker that shares memory with all shards speaks with the conductor alone. Over TCP it attaches to every shard:

    worker -> shard       ATTACH, answered by ATTACHED, before it attaches to the conductor
    shard  -> worker      WEIGHTS  when they have changed, for the rounds in which the worker takes part
    worker -> shard       GRADIENT of a node, before its PUSH

Ownership: between ASSIGN of a round and ASSIGN of the next round the weights do not change, unless this worker has been
dismissed; its pushes are refused then. A slot belongs to the worker until it is pushed, and to the server until ASSIGN
of the next round. `push` does not wait for an answer; `wait` blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Vector, aligned_zeros
from raydient.steps.gradient import Gradient
from raydient.steps.scores import Scores, as_bytes
from raydient.steps.tree import Node

from .connection import Connection, Frame, limited_to
from .frames import Header, Kind, ProtocolError
from .memory import Segment
from .terms import Terms

_allocate_small = limited_to(1 << 16)
"""For every frame but the weights."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The request to compute leaves `first`..`last` - 1 of round `round`."""

    round: int
    first: int
    last: int


class Channel(Protocol):
    """A worker's interface to the parameter servers of its job."""

    @property
    def terms(self) -> Terms: ...

    @property
    def weights(self) -> Vector:
        """The whole flat vector. The array stays the same for the life of the channel; its values change."""

    def slot(self, index: int) -> Gradient:
        """Return the gradient in slot `index`; the same object each time."""

    def wait(self) -> Assignment | None:
        """Return the next assignment, with `weights` current for it, or None when there is no more work.

        Raises ConnectionError if the connection to the server ends.
        """

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        """Push the sum over a node: the gradient in `slot` (None if the round has none), metrics and timings."""

    def score(self, round_: int, node: Node, scores: Scores) -> None:
        """Send the scores of a node's rows, (rows, terms.scores), in the order of the rows, right before `push`."""

    def close(self) -> None: ...


def attach(connections: Sequence[Connection], worker: int, generation: int) -> Channel:
    """Join the data plane as `worker` over authenticated, blocking connections, which the channel then owns.

    The first connection is that to the conductor. One to each other shard follows, unless all shards share memory with
    this worker.
    """
    conductor, *shards = connections
    for shard in shards:
        _ask_to_attach(shard, worker, generation)
    frame = _ask_to_attach(conductor, worker, generation)
    terms = Terms.unpack(frame.payload)
    if conductor.is_local:
        return SharedMemoryChannel(conductor, generation, terms, frame)
    if len(connections) != terms.shards:
        raise ProtocolError(f"{len(connections)} connections to {terms.shards} shards")
    return TcpChannel(connections, generation, terms)


def _ask_to_attach(connection: Connection, worker: int, generation: int) -> Frame:
    connection.allocate = _allocate_small
    connection.send(Header(Kind.ATTACH, generation, first=worker))
    frame = connection.receive()
    if frame is None or frame.header.kind is not Kind.ATTACHED:
        raise ProtocolError("the parameter server does not accept this worker")
    return frame


class _Channel:
    """The part of a channel that does not depend on the path of the payload."""

    weights: Vector

    def __init__(self, connection: Connection, generation: int, terms: Terms) -> None:
        self.terms = terms
        self._connection = connection
        self._generation = generation
        self._note = np.zeros(terms.note_bytes // 8)
        self._sums, self._seconds = terms.split(self._note)
        connection.allocate = self._allocate

    def _allocate(self, header: Header) -> bytearray | memoryview:
        return _allocate_small(header)

    def wait(self) -> Assignment | None:
        while True:
            frame = self._connection.receive()
            assert frame is not None, "a blocking connection returns whole frames"
            header = frame.header
            if header.kind is Kind.STOP:
                return None
            if header.kind is Kind.ASSIGN:
                return Assignment(header.round, header.first, header.last)
            if header.kind not in (Kind.WEIGHTS, Kind.REFUSED):
                raise ProtocolError(f"a worker cannot use a {header.kind.name} frame")

    def _push(self, header: Header, sums: NDArray[np.float64], seconds: Sequence[float], *gradient: Any) -> None:
        self._sums[:], self._seconds[:] = sums, seconds
        self._connection.send(header, self._note.data, *gradient)

    def score(self, round_: int, node: Node, scores: Scores) -> None:
        self._connection.send(Header(Kind.SCORES, self._generation, round_, *node), as_bytes(scores).data)

    def close(self) -> None:
        self._connection.close()


class SharedMemoryChannel(_Channel):
    """Both sides map the same pages. A push is a notice; the gradient stays where backward wrote it."""

    def __init__(self, connection: Connection, generation: int, terms: Terms, attached: Frame) -> None:
        super().__init__(connection, generation, terms)
        if len(attached.descriptors) != 2:
            raise ProtocolError("weights and gradients have to come as two descriptors")
        self.weights = terms.weights_in(Segment(attached.descriptors.pop(0), terms.weights_bytes))
        self._slots = terms.slots_in(Segment(attached.descriptors.pop(0), terms.slots_bytes))

    def slot(self, index: int) -> Gradient:
        return self._slots[index]

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        self._push(Header(Kind.PUSH, self._generation, round_, *node, slot or 0), sums, seconds)


class TcpChannel(_Channel):
    """Weights are received in place and gradients sent from their slots, so that only the kernel copies them.

    Row-sparse gradients are copied once more: only the rows in use are sent.
    """

    def __init__(self, connections: Sequence[Connection], generation: int, terms: Terms) -> None:
        super().__init__(connections[0], generation, terms)
        self.weights = aligned_zeros((terms.gradient.size,), "<f4")
        self._slots: dict[int, Gradient] = {}
        self._shards = [_Shard(connection, terms, n, self.weights) for n, connection in enumerate(connections)]

    def _allocate(self, header: Header) -> bytearray | memoryview:
        return super()._allocate(header) if header.kind is not Kind.WEIGHTS else self._shards[0].allocate(header)

    def wait(self) -> Assignment | None:
        assignment = super().wait()
        if assignment is not None:
            # The conductor sends the first shard's weights before the assignment.
            for shard in self._shards[1:]:
                shard.receive(self._shards[0].step)
        return assignment

    def slot(self, index: int) -> Gradient:
        if index not in self._slots:
            self._slots[index] = self.terms.gradient.zeros()
        return self._slots[index]

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        if slot is None:
            self._push(Header(Kind.PUSH, self._generation, round_, *node), sums, seconds)
            return
        first, *others = [shard.terms.within(self.slot(slot)) for shard in self._shards]
        for shard, gradient in zip(self._shards[1:], others, strict=True):
            packed: list[Any] = list(gradient.pack())
            shard.connection.send(Header(Kind.GRADIENT, self._generation, round_, *node), *packed)
        self._push(Header(Kind.PUSH, self._generation, round_, *node), sums, seconds, *first.pack())

    def close(self) -> None:
        for shard in self._shards:
            shard.connection.close()


class _Shard:
    """The connection to one shard over TCP.

    Attributes:
        terms: the exchange with the shard.
        step: updates that its weights, as received last, have.
    """

    def __init__(self, connection: Connection, terms: Terms, number: int, weights: Vector) -> None:
        self.connection, self.terms, self.step = connection, terms.of_shard(number), -1
        self._weights = weights[self.terms.start : self.terms.stop]
        if number:
            connection.allocate = self.allocate

    def allocate(self, header: Header) -> bytearray | memoryview:
        """Return the place of the shard's weights, for a WEIGHTS frame."""
        if header.kind is not Kind.WEIGHTS:
            return _allocate_small(header)
        if header.length != self._weights.nbytes:
            raise ProtocolError(f"weights of {header.length} bytes, {self._weights.nbytes} were agreed")
        self.step = header.round
        return self._weights.data.cast("B")

    def receive(self, step: int) -> None:
        """Wait for the weights after `step` updates."""
        while self.step != step:
            frame = self.connection.receive()
            if frame is None or frame.header.kind is not Kind.WEIGHTS:
                raise ProtocolError("a shard sends weights alone")
