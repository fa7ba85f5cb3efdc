"""The worker's end of the data plane: where it finds weights and leaves gradients, over shared memory or over TCP.

One conversation, two ways for the payload:

    worker -> server   ATTACH   worker number
    server -> worker   ATTACHED sizes; on one machine also the descriptors of the weights and of this worker's gradients
    server -> worker   WEIGHTS  (TCP only, when they have changed since this worker last got them)
    server -> worker   ASSIGN   round and leaves
    worker -> server   SCORES   (where a metric ranks rows) the scores of a node's rows
    worker -> server   PUSH     the node's sums and timings; over TCP the gradient follows
    server -> worker   ASSIGN   the next round, or more leaves of this one
    server -> worker   STOP

Ownership: between ASSIGN of a round and the next round's ASSIGN the weights do not change, unless this worker has been
given up; what it computes then is refused. A slot belongs to the worker until it is pushed and to the server until the
next round's ASSIGN. `push` does not wait for an answer; `wait` blocks.
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

_SMALL_PAYLOAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Assignment:
    """Leaves `first`..`last` - 1 of round `round` are to be computed."""

    round: int
    first: int
    last: int


class Channel(Protocol):
    """A worker's interface to a parameter server."""

    @property
    def terms(self) -> Terms: ...

    @property
    def weights(self) -> Vector:
        """The whole flat vector; the same array for the life of the channel, its values change."""

    def slot(self, index: int) -> Gradient:
        """Return the gradient in slot `index`; the same object each time."""

    def wait(self) -> Assignment | None:
        """The next assignment, with `weights` current for it; None when there is no more work.

        Raises ConnectionError when the server is gone.
        """

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        """Hand over the sum over a node: the gradient in `slot` (None: a round without them), metrics, timings."""

    def score(self, round_: int, node: Node, scores: Scores) -> None:
        """Send the scores of a node's rows, (rows, terms.scores), in the rows' order. Call it right before `push`."""

    def close(self) -> None: ...


def attach(connection: Connection, worker: int, generation: int) -> Channel:
    """Join the data plane as `worker`. The connection is proven, blocking, and the channel's from here on."""
    connection.allocate = limited_to(_SMALL_PAYLOAD)
    connection.send(Header(Kind.ATTACH, generation, first=worker))
    frame = connection.receive()
    if frame is None or frame.header.kind is not Kind.ATTACHED:
        raise ProtocolError("the parameter server does not want this worker")
    terms = Terms.unpack(frame.payload)
    if connection.is_local:
        return SharedMemoryChannel(connection, generation, terms, frame)
    return TcpChannel(connection, generation, terms)


class _Channel:
    """The common part of both channels."""

    weights: Vector

    def __init__(self, connection: Connection, generation: int, terms: Terms) -> None:
        self.terms = terms
        self._connection = connection
        self._generation = generation
        self._note = np.zeros(terms.note_bytes // 8)
        self._sums, self._seconds = terms.split(self._note)
        connection.allocate = self._allocate

    def _allocate(self, header: Header) -> bytearray | memoryview:
        return limited_to(_SMALL_PAYLOAD)(header)

    def wait(self) -> Assignment | None:
        while True:
            frame = self._connection.receive()
            assert frame is not None, "a blocking connection gives whole frames"
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
    """Both sides map the same pages: a push is a notice, the gradient stays where backward wrote it."""

    def __init__(self, connection: Connection, generation: int, terms: Terms, attached: Frame) -> None:
        super().__init__(connection, generation, terms)
        if len(attached.descriptors) != 2:
            raise ProtocolError("weights and gradients were to come as two descriptors")
        self.weights = terms.weights_in(Segment(attached.descriptors.pop(0), terms.weights_bytes))
        self._slots = terms.slots_in(Segment(attached.descriptors.pop(0), terms.slots_bytes))

    def slot(self, index: int) -> Gradient:
        return self._slots[index]

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        self._push(Header(Kind.PUSH, self._generation, round_, *node, slot or 0), sums, seconds)


class TcpChannel(_Channel):
    """Weights are received in place, gradients sent from where backward wrote them: one copy each way, the wire's.

    Of tables with sparse gradients only the rows in use are sent, after one more copy.
    """

    def __init__(self, connection: Connection, generation: int, terms: Terms) -> None:
        super().__init__(connection, generation, terms)
        self.weights = aligned_zeros((terms.gradient.size,), "<f4")
        self._slots: dict[int, Gradient] = {}

    def _allocate(self, header: Header) -> bytearray | memoryview:
        if header.kind is Kind.WEIGHTS:
            if header.length != self.weights.nbytes:
                raise ProtocolError(f"weights of {header.length} bytes, {self.weights.nbytes} were agreed")
            return self.weights.data.cast("B")
        return super()._allocate(header)

    def slot(self, index: int) -> Gradient:
        if index not in self._slots:
            self._slots[index] = self.terms.gradient.zeros()
        return self._slots[index]

    def push(
        self, round_: int, node: Node, slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        gradient = () if slot is None else self.slot(slot).pack()
        self._push(Header(Kind.PUSH, self._generation, round_, *node), sums, seconds, *gradient)
