"""The worker's end of the data plane: channels that receive weights and push gradients, by shared memory or over TCP.

The sequence of frames with the conductor is the same for both; only the path of the payload differs:

    worker -> conductor   ATTACH   worker number
    conductor -> worker   ATTACHED sizes; on one machine also the descriptors of all weights and of this worker's slots
    conductor -> worker   WEIGHTS  (TCP, when they have changed) those of the first shard
                                   (in shared memory, where they change meanwhile) nothing: the worker's copy is new
    conductor -> worker   ASSIGN   round and leaves; the learning rate if these make local steps
    worker -> conductor   SCORES   (where a metric ranks rows) the scores of a node's rows
    worker -> conductor   PUSH     the node's sums and timings
    conductor -> worker   ASSIGN   the next round, or more leaves of this one
    conductor -> worker   LENGTH   (where an amendment has changed the job) its epochs and steps, before the next ASSIGN
    conductor -> worker   RESIDUALS (where a codec feeds back) a snapshot is taken between two rounds
    conductor -> worker   STOP

A worker that shares memory with all shards speaks with the conductor alone. Over TCP it attaches to every shard:

    worker -> shard       ATTACH, answered by ATTACHED, before it attaches to the conductor
    shard  -> worker      WEIGHTS  when they have changed, for the rounds in which the worker takes part
    worker -> shard       PULL     numbers of the rows of its tables that the worker needs, answered by ROWS
    worker -> shard       GRADIENT of a node, before its PUSH, to the first shard too: in parts, from its end on

WEIGHTS have what lies outside tables. Of tables the worker pulls the rows that its leaves use, also from the first
shard.

Ownership: between ASSIGN of a round and ASSIGN of the next round the weights do not change, unless this worker has been
dismissed; its pushes are refused then. So the rows of a round can be pulled until the worker has pushed its leaves. A
slot belongs to the worker until it is pushed, and to the server until an ASSIGN that does not keep its round. `push`
does not wait for an answer; `wait` and `pull` block.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import Vector, aligned_zeros
from raydient.steps.encoded import Encoded
from raydient.steps.gradient import Gradient, Table
from raydient.steps.scores import Scores, as_bytes
from raydient.steps.sparse import Numbers
from raydient.steps.tree import Node, maximal_subtrees

from .connection import Connection, Frame
from .frames import RATE, Header, Kind, ProtocolError
from .memory import Segment
from .shard_end import ShardEnd, allocate_small
from .terms import Terms

_WORK = Kind.ASSIGN, Kind.RESIDUALS, Kind.STOP


class WorkEnded(Exception):  # noqa: N818  (it is no error)
    """The server stops the worker while it waits for rows."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The request to compute leaves `first`..`last` - 1 of round `round`.

    The gradients that were pushed for the `kept` rounds before it are still needed; those of earlier rounds are not.
    `rate` is the learning rate of a round whose leaves make local steps, else None.
    """

    round: int
    first: int
    last: int
    kept: int = 0
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class ResidualsDue:
    """The request to send the coordinator the residuals of the worker's leaves as they are before round `round`."""

    round: int


class Channel(Protocol):
    """A worker's interface to the parameter servers of its job."""

    @property
    def terms(self) -> Terms: ...

    @property
    def weights(self) -> Vector:
        """The whole flat vector. Between two assignments it may become another array, and its values change.

        Of the tables in `pulled` only the rows of the last `pull` are current.
        """

    @property
    def pulled(self) -> Sequence[Table]:
        """Tables whose rows have to be pulled before they are read; none in shared memory."""

    @property
    def length(self) -> tuple[int, int] | None:
        """Epochs and `max_steps` of the job, see `Schedule`; None while they are those that the worker began with."""

    @property
    def encoded(self) -> Encoded | None:
        """The place of the encoded gradient of the leaf that is computed; None without a codec."""

    @property
    def travels(self) -> bool:
        """True if gradients are sent, so that a slot is free once it is pushed; False in shared memory."""

    def nodes(self, first: int, last: int, leaves: int) -> Iterator[Node]:
        """Yield the nodes whose gradients are pushed for the leaves `first`..`last` - 1 of a round, in order.

        They are the fewest, except for single leaves in the place of a node where these take fewer bytes, encoded.
        """

    def slot(self, index: int) -> Gradient:
        """Return the gradient in slot `index`; the same object each time."""

    def wait(self) -> Assignment | ResidualsDue | None:
        """Return the next assignment, with `weights` current for it, or None when there is no more work.

        Where a codec feeds back, a request for residuals may come between the assignments of two rounds.

        Raises ConnectionError if the connection to the server ends.
        """

    def pull(self, rows: Mapping[int, Numbers]) -> None:
        """Make rows of tables current, by the place of the table in the vector; blocks until they have arrived.

        Raises WorkEnded if there is no more work, ConnectionError if a connection ends.
        """

    def send_part(self, round_: int, node: Node, slot: int, start: int) -> None:
        """Send the gradient in `slot` by the weights from `start` on, as far as it has not been sent, without blocking.

        For a node that is pushed next, in parts with falling `start`; `push` sends the rest. Not if there are tables.
        """

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        """Push the sum over a node: the gradient in `slot` (None if the round has none), metrics and timings.

        With a codec, the gradient of a single leaf is that in `encoded`, if gradients are sent.
        """

    def score(self, round_: int, node: Node, scores: Scores) -> None:
        """Send the scores of a node's rows, (rows, terms.scores), in the order of the rows, right before `push`."""

    def close(self) -> None: ...


def attach(connections: Sequence[Connection], worker: int, generation: int) -> Channel:
    """Join the data plane as `worker` over authenticated, blocking connections, which the channel then owns.

    They are closed if this fails. The first connection is that to the conductor. One to each other shard follows,
    unless all shards share memory with this worker.
    """
    try:
        return _attach(connections, worker, generation)
    except BaseException:
        for connection in connections:
            connection.close()
        raise


def _attach(connections: Sequence[Connection], worker: int, generation: int) -> Channel:
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
    connection.allocate = allocate_small
    connection.send(Header(Kind.ATTACH, generation, first=worker))
    frame = connection.receive()
    if frame is None or frame.header.kind is not Kind.ATTACHED:
        raise ProtocolError("the parameter server does not accept this worker")
    return frame


def _work(frame: Frame) -> Assignment | ResidualsDue | None:
    """Return the work of a frame; None for STOP. ProtocolError if the payload of an ASSIGN frame is no rate."""
    if frame.header.kind is Kind.STOP:
        return None
    return ResidualsDue(frame.header.round) if frame.header.kind is Kind.RESIDUALS else _assignment(frame)


def _assignment(frame: Frame) -> Assignment:
    header = frame.header
    if header.length not in (0, RATE.size):
        raise ProtocolError(f"a learning rate of {header.length} bytes")
    (rate,) = RATE.unpack(frame.payload) if header.length else (None,)
    return Assignment(header.round, header.first, header.last, header.slot, rate)


class _Channel:
    """The part of a channel that does not depend on the path of the payload."""

    weights: Vector
    pulled: Sequence[Table] = ()
    length: tuple[int, int] | None = None
    travels = False

    def __init__(self, connection: Connection, generation: int, terms: Terms) -> None:
        self.terms = terms
        self.encoded = None if terms.coding is None else Encoded(terms.coding)
        self._connection = connection
        self._generation = generation
        self._note = np.zeros(terms.note_bytes // 8)
        self._sums, self._seconds, self._received, self._saved = terms.split(self._note)
        connection.allocate = self._allocate

    def _allocate(self, header: Header) -> bytearray | memoryview:
        return allocate_small(header)

    def pull(self, rows: Mapping[int, Numbers]) -> None:
        """Do nothing: the weights of all tables are in place."""

    def nodes(self, first: int, last: int, leaves: int) -> Iterator[Node]:
        return maximal_subtrees(first, last, leaves)

    def _next(self, *kinds: Kind) -> Frame:
        """Return the conductor's next frame of one of these kinds; takes a length, and ignores a refusal before it."""
        while True:
            frame = self._connection.receive()
            assert frame is not None, "a blocking connection returns whole frames"
            if frame.header.kind in kinds:
                return frame
            if frame.header.kind is Kind.LENGTH:
                self.length = frame.header.first, frame.header.last
            elif frame.header.kind is not Kind.REFUSED:
                raise ProtocolError(f"a worker cannot use a {frame.header.kind.name} frame")

    def _push(self, header: Header, sums: NDArray[np.float64], seconds: Sequence[float]) -> None:
        self._sums[:], self._seconds[:] = sums, seconds
        self._connection.send(header, self._note.data)
        self._received[0] = self._saved[0] = 0

    def score(self, round_: int, node: Node, scores: Scores) -> None:
        self._connection.send(Header(Kind.SCORES, self._generation, round_, *node), as_bytes(scores).data)

    def close(self) -> None:
        self._connection.close()


class SharedMemoryChannel(_Channel):
    """Both sides map the same pages. A push is a notice; the gradient stays where backward wrote it."""

    def __init__(self, connection: Connection, generation: int, terms: Terms, attached: Frame) -> None:
        super().__init__(connection, generation, terms)
        if len(attached.descriptors) != 3:
            raise ProtocolError("weights, gradients and a copy of the weights have to come as three descriptors")
        try:
            self.weights = terms.weights_in(Segment(attached.descriptors.pop(0), terms.weights_bytes))
            self._slots = terms.slots_in(Segment(attached.descriptors.pop(0), terms.slots_bytes))
            self._copy = terms.weights_in(Segment(attached.descriptors.pop(0), terms.weights_bytes))
        except (ValueError, OverflowError, OSError) as error:
            raise ProtocolError(f"memory that cannot be mapped: {error}") from None

    def wait(self) -> Assignment | ResidualsDue | None:
        while (frame := self._next(Kind.WEIGHTS, *_WORK)).header.kind is Kind.WEIGHTS:
            self.weights = self._copy
        return _work(frame)

    def slot(self, index: int) -> Gradient:
        return self._slots[index]

    def send_part(self, round_: int, node: Node, slot: int, start: int) -> None:
        """Do nothing: the gradient stays in its slot."""

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        self._push(Header(Kind.PUSH, self._generation, round_, *node, slot or 0), sums, seconds)


class TcpChannel(_Channel):
    """Weights are received in place and gradients sent from their slots, so that only the kernel copies them.

    Where there are tables, weights and gradients are copied once more: only the rows in use travel. The weights and the
    slots have room for whole tables; the system provides the pages of the rows that have been used.
    """

    travels = True

    def __init__(self, connections: Sequence[Connection], generation: int, terms: Terms) -> None:
        super().__init__(connections[0], generation, terms)
        self.weights = aligned_zeros((terms.gradient.size,), "<f4")
        self.pulled = terms.gradient.tables if terms.pulls else ()
        self._early: deque[Assignment] = deque()  # came while the worker waited for rows
        self._slots: dict[int, Gradient] = {}
        self._shards = [ShardEnd(each, terms, n, self.weights, self.encoded) for n, each in enumerate(connections)]

    def _allocate(self, header: Header) -> bytearray | memoryview:
        return self._shards[0].allocate(header)

    def wait(self) -> Assignment | ResidualsDue | None:
        if self._early:
            return self._early.popleft()
        first, *others = self._shards
        while (frame := self._next(Kind.WEIGHTS, *_WORK)).header.kind is Kind.WEIGHTS:
            self._received += first.take_weights(frame)
        # The conductor sends the first shard's weights before the assignment.
        for shard in others if frame.header.kind is Kind.ASSIGN else ():
            while shard.version != first.version:
                self._received += shard.take_weights(shard.next())
        return _work(frame)

    def pull(self, rows: Mapping[int, Numbers]) -> None:
        asked = [shard for shard in self._shards if shard.ask(self._generation, rows, self.pulled)]
        for shard in asked:
            self._received += shard.take_rows(shard.next() if shard is not self._shards[0] else self._next_rows())

    def _next_rows(self) -> Frame:
        while (header := (frame := self._next(Kind.ROWS, Kind.ASSIGN, Kind.STOP)).header).kind is Kind.ASSIGN:
            self._early.append(_assignment(frame))
        if header.kind is Kind.STOP:
            raise WorkEnded
        return frame

    def nodes(self, first: int, last: int, leaves: int) -> Iterator[Node]:
        coding, whole = self.terms.coding, 4 * self.terms.gradient.buffer_size
        for node in maximal_subtrees(first, last, leaves):
            saved = 0 if coding is None else whole - (node[1] - node[0]) * coding.packed_bytes
            if saved <= 0:
                yield node
                continue
            self._saved[0] += saved
            yield from ((leaf, leaf + 1) for leaf in range(*node))

    def slot(self, index: int) -> Gradient:
        if index not in self._slots:
            self._slots[index] = self.terms.gradient.zeros()
        return self._slots[index]

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        if slot is not None:
            for shard in self._shards:
                shard.put_rest(Header(Kind.GRADIENT, self._generation, round_, *node), self.slot(slot))
            for shard in self._shards[1:]:
                shard.connection.flush()
        self._push(Header(Kind.PUSH, self._generation, round_, *node), sums, seconds)  # with the first shard's part

    def send_part(self, round_: int, node: Node, slot: int, start: int) -> None:
        for shard in self._shards:
            shard.put(Header(Kind.GRADIENT, self._generation, round_, *node), self.slot(slot), start)
            shard.connection.flush(wait=False)

    def close(self) -> None:
        for shard in self._shards:
            shard.connection.close()
