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

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import CACHE_LINE, aligned_zeros
from raydient.steps.scores import SCORE, Scores, as_bytes
from raydient.steps.sparse import Table, pack, packed_size

from .connection import Buffer, Connection, Frame, limited_to
from .frames import Header, Kind, ProtocolError
from .memory import Segment

PHASES = ("forward", "backward", "push", "wait")
"""The phases of a worker's time; their seconds follow the sums of a push."""

_SMALL_PAYLOAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Terms:
    """The parameters that the server sends to a worker that attaches.

    Attributes:
        size: values of the weight vector.
        slots: gradient slots.
        sums: number of values that are sent with a push.
        units: units with a rectifier. A slot has a count for each behind the gradient: in how many leaves of the node
            the unit was not zero for every sample. They mean something in rounds in which health is measured.
        tables: parameters whose gradients are sparse, in the order of the vector. A slot has an account for each behind
            the counts.
        scores: number of columns of the scores that precede a push, see `scores`; 0: no scores are sent.
        rows: maximum number of rows of a round.
    """

    size: int
    slots: int
    sums: int
    units: int = 0
    tables: tuple[Table, ...] = ()
    scores: int = 0
    rows: int = 0

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        told = json.loads(bytes(data))
        return cls(**{**told, "tables": tuple(Table(**table) for table in told["tables"])})

    @property
    def counted_size(self) -> int:
        """Values of a slot, the counts of units included."""
        return self.size + self.units

    @property
    def slot_size(self) -> int:
        """Values of a slot."""
        return self.counted_size + sum(1 + table.rows for table in self.tables)

    @property
    def slots_shape(self) -> tuple[int, int]:
        """Of all slots in shared memory: each begins with a cache line, behind up to 15 values that nobody uses."""
        values = CACHE_LINE // 4
        return self.slots, -(-self.slot_size // values) * values

    @property
    def note_bytes(self) -> int:
        """Bytes of a push without its gradient."""
        return 8 * (self.sums + len(PHASES))

    @property
    def score_bytes(self) -> int:
        """Maximum bytes of the scores of a node's rows."""
        return SCORE.itemsize * self.scores * self.rows

    @property
    def push_bytes(self) -> int:
        """Bytes of a push with its gradient, at the most: with every row of every table in use."""
        return self.note_bytes + 4 * self.slot_size

    @property
    def least_push_bytes(self) -> int:
        """Bytes of a push with its gradient, at the least: with no row of any table in use."""
        return self.push_bytes - 4 * sum(table.rows * (1 + table.width) for table in self.tables)

    def bytes_of(self, slot: NDArray[np.float32]) -> int:
        """Bytes of a push with the gradient in `slot`."""
        return self.note_bytes + 4 * packed_size(self.tables, slot, self.counted_size)

    def pack(self) -> bytes:
        return json.dumps(asdict(self)).encode()


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
    def weights(self) -> NDArray[np.float32]:
        """The whole flat vector; the same array for the life of the channel, its values change."""

    def slot(self, index: int) -> NDArray[np.float32]:
        """Gradient buffer `index`, (terms.slot_size,); the same array each time."""

    def wait(self) -> Assignment | None:
        """The next assignment, with `weights` current for it; None when there is no more work.

        Raises ConnectionError when the server is gone.
        """

    def push(
        self, round_: int, node: tuple[int, int], slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        """Hand over the sum over a node: the gradient in `slot` (None: a round without them), metrics, timings."""

    def score(self, round_: int, node: tuple[int, int], scores: Scores) -> None:
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

    weights: NDArray[np.float32]

    def __init__(self, connection: Connection, generation: int, terms: Terms) -> None:
        self.terms = terms
        self._connection = connection
        self._generation = generation
        self._note = np.zeros(terms.sums + len(PHASES))
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
        self._note[: self.terms.sums] = sums
        self._note[self.terms.sums :] = seconds
        self._connection.send(header, self._note.data, *gradient)

    def score(self, round_: int, node: tuple[int, int], scores: Scores) -> None:
        self._connection.send(Header(Kind.SCORES, self._generation, round_, *node), as_bytes(scores).data)

    def close(self) -> None:
        self._connection.close()


class SharedMemoryChannel(_Channel):
    """Both sides map the same pages: a push is a notice, the gradient stays where backward wrote it."""

    def __init__(self, connection: Connection, generation: int, terms: Terms, attached: Frame) -> None:
        super().__init__(connection, generation, terms)
        if len(attached.descriptors) != 2:
            raise ProtocolError("weights and gradients were to come as two descriptors")
        weights = Segment(attached.descriptors.pop(0), terms.size * 4)
        gradients = Segment(attached.descriptors.pop(0), prod(terms.slots_shape) * 4)
        self.weights = weights.array("<f4", (terms.size,))
        rows = gradients.array("<f4", terms.slots_shape)
        self._rows: list[NDArray[np.float32]] = [row[: terms.slot_size] for row in rows]

    def slot(self, index: int) -> NDArray[np.float32]:
        return self._rows[index]

    def push(
        self, round_: int, node: tuple[int, int], slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        self._push(Header(Kind.PUSH, self._generation, round_, *node, slot or 0), sums, seconds)


class TcpChannel(_Channel):
    """Weights are received in place, gradients sent from where backward wrote them: one copy each way, the wire's.

    Of tables with sparse gradients only the rows in use are sent, after one more copy.
    """

    def __init__(self, connection: Connection, generation: int, terms: Terms) -> None:
        super().__init__(connection, generation, terms)
        self.weights = aligned_zeros((terms.size,), "<f4")
        self._slots: dict[int, NDArray[np.float32]] = {}

    def _allocate(self, header: Header) -> bytearray | memoryview:
        if header.kind is Kind.WEIGHTS:
            if header.length != self.weights.nbytes:
                raise ProtocolError(f"weights of {header.length} bytes, {self.weights.nbytes} were agreed")
            return self.weights.data.cast("B")
        return super()._allocate(header)

    def slot(self, index: int) -> NDArray[np.float32]:
        if index not in self._slots:
            self._slots[index] = aligned_zeros((self.terms.slot_size,), "<f4")
        return self._slots[index]

    def push(
        self, round_: int, node: tuple[int, int], slot: int | None, sums: NDArray[np.float64], seconds: Sequence[float]
    ) -> None:
        gradient = () if slot is None else pack(self.terms.tables, self.slot(slot), self.terms.counted_size)
        self._push(Header(Kind.PUSH, self._generation, round_, *node), sums, seconds, *gradient)
