"""The sizes and the arrangement of the data that a worker and a parameter server exchange, for both ends.

A push has a note, as float64: the sums, the seconds of each phase, the bytes that the worker has received since its
last push, and those that a codec has saved. Over TCP the packed gradient precedes the push, in parts, each in a frame;
in shared memory it stays in its slot. With a codec, the gradient of a single leaf travels encoded, a sum of several as
float32. Scores of rows, where a metric ranks rows, precede the push in a frame of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from raydient.steps.arrays import CACHE_LINE, Vector
from raydient.steps.encoded import Coding, is_leaf
from raydient.steps.gradient import Gradient, GradientLayout, Table, between, whole_of
from raydient.steps.ranges import Range
from raydient.steps.scores import SCORE, Scores, from_bytes
from raydient.steps.sparse import Numbers, are_numbers
from raydient.steps.tree import Node

from .connection import Buffer
from .frames import ProtocolError
from .memory import Segment

PHASES = ("data", "forward", "backward", "push", "wait")
"""The phases of a worker's time; their seconds follow the sums of a push."""


class Note(NamedTuple):
    """The numbers of a push.

    Attributes:
        sums: (sums,).
        seconds: by phase, (phases,).
        pulled: (1,), bytes of weights that the worker has received since its last push; 0 in shared memory.
        saved: (1,), bytes that its gradients since its last push, this one included, would have taken in addition
            without a codec; 0 in shared memory.
    """

    sums: NDArray[np.float64]
    seconds: NDArray[np.float64]
    pulled: NDArray[np.float64]
    saved: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Terms:
    """The parameters of the exchange, which the server sends to a worker that attaches.

    Attributes:
        gradient: layout of the whole gradient.
        slots: number of gradients that a worker holds at a time.
        sums: number of values that are sent with a push.
        scores: number of columns of the scores that precede a push, see `scores`; 0: no scores are sent.
        rows: maximum number of rows of a round.
        ranges: half-open ranges of weights of the shards, in order; empty if one has all.
        coding: encoding of the gradients of leaves; None without one.
        pulls: over TCP workers pull the rows of tables that they need; else tables travel whole, with the weights.
    """

    gradient: GradientLayout
    slots: int
    sums: int
    scores: int = 0
    rows: int = 0
    ranges: tuple[Range, ...] = ()
    coding: Coding | None = None
    pulls: bool = True

    @property
    def shards(self) -> int:
        """Number of shards."""
        return max(1, len(self.ranges))

    @property
    def feeds_back(self) -> bool:
        """True if workers keep what they do not send of the gradients of their leaves."""
        return self.coding is not None and self.coding.codec.feeds_back

    def of_shard(self, shard: int) -> "ShardTerms":
        """Return the part of the exchange that concerns one shard. IndexError if there is none of this number."""
        start, stop = self.ranges[shard] if self.ranges else (0, self.gradient.size)
        gradient = self.gradient.within(start, stop)
        coding = None if self.coding is None else self.coding.within(start, stop, gradient.units)
        return ShardTerms(start, gradient, coding, self.pulls)

    def pack(self) -> bytes:
        return _TERMS.dump_json(self)

    @staticmethod
    def unpack(data: Buffer) -> "Terms":
        """Return the terms in the payload of an ATTACHED frame. ProtocolError if it has none."""
        try:
            terms = _TERMS.validate_json(bytes(data))
        except ValueError as error:
            raise ProtocolError(f"terms that cannot be read: {error}") from None
        layout = terms.gradient
        counts = (layout.size, layout.units, terms.slots, terms.sums, terms.scores, terms.rows)
        if min(counts) < 0:
            raise ProtocolError(f"terms with a negative size: {terms}")
        coding = terms.coding
        if coding is not None and (not coding.is_valid or layout.tables or coding.size != layout.size):
            raise ProtocolError(f"a gradient that cannot be encoded: {terms}")
        return terms

    # ---- shared memory

    @property
    def weights_bytes(self) -> int:
        """Bytes of the weights."""
        return 4 * self.gradient.size

    def weights_in(self, segment: Segment) -> Vector:
        """Return the weights at the beginning of a segment; a view."""
        return segment.array("<f4", (self.gradient.size,))

    @property
    def slots_bytes(self) -> int:
        """Bytes of all slots of a worker."""
        return 4 * self.slots * self._stride

    def slots_in(self, segment: Segment) -> list[Gradient]:
        """Return the gradients in a segment of `slots_bytes`; views. Each begins at a cache line."""
        return self.slots_of(segment.array("<f4", (self.slots_bytes // 4,)))

    def slots_of(self, values: Vector) -> list[Gradient]:
        """Return the gradients in an array of `slots_bytes`; views."""
        rows = values.reshape(self.slots, self._stride)
        return [Gradient(self.gradient, row[: self.gradient.buffer_size]) for row in rows]

    @property
    def _stride(self) -> int:
        """Values from the beginning of one slot to that of the next."""
        line = CACHE_LINE // 4
        return -(-self.gradient.buffer_size // line) * line

    # ---- a push

    @property
    def note_bytes(self) -> int:
        """Bytes of a push without its gradient."""
        return 8 * (self.sums + len(PHASES) + 2)

    def split(self, values: NDArray[np.float64]) -> Note:
        """Return the note in an array, (sums + phases + 2,); views."""
        return Note(values[: self.sums], values[self.sums : -2], values[-2:-1], values[-1:])

    def note_in(self, push: Buffer) -> Note:
        """Return the note of a push. ProtocolError if it is too short, or its bytes are no number of bytes."""
        if len(push) < self.note_bytes:
            raise ProtocolError("a push without its sums")
        note = self.split(np.frombuffer(push, "<f8", self.note_bytes // 8))
        for count, verb in ((note.pulled[0], "received"), (note.saved[0], "saved")):
            if not 0 <= count < 2**53:
                raise ProtocolError(f"{count} bytes {verb}")
        return note

    # ---- scores

    @property
    def score_bytes(self) -> int:
        """Maximum bytes of the scores of a node's rows."""
        return SCORE.itemsize * self.scores * self.rows

    def scores_in(self, payload: Buffer, rows: int) -> Scores:
        """Return the scores of `rows` rows; a view. ProtocolError if there are more or fewer."""
        if len(payload) != SCORE.itemsize * self.scores * rows:
            raise ProtocolError(f"{len(payload)} bytes of scores for {rows} rows")
        return from_bytes(payload, self.scores)


@dataclass(frozen=True, slots=True)
class ShardTerms:
    """The exchange of gradients and weights between a worker and one shard.

    Attributes:
        start: number of the shard's first weight.
        gradient: layout of the gradient by the shard's weights.
        coding: encoding of the gradients of leaves by these weights; None without one.
        pulls: see `Terms`.
    """

    start: int
    gradient: GradientLayout
    coding: Coding | None = None
    pulls: bool = True

    @property
    def pulled(self) -> tuple[Table, ...]:
        """Tables whose rows workers pull."""
        return self.gradient.tables if self.pulls else ()

    @property
    def stop(self) -> int:
        """Number of the first weight behind the shard."""
        return self.start + self.gradient.size

    def within(self, gradient: Gradient) -> Gradient:
        """Return the shard's part of a whole gradient; see `Gradient.within`."""
        return gradient.within(self.start, self.gradient)

    def coding_of(self, node: Node) -> Coding | None:
        """Return the encoding in which the gradient of a node travels; None if that is packed."""
        return self.coding if is_leaf(node) else None

    def bytes_of(self, node: Node) -> int:
        """Return the bytes in which the gradient of a node travels, at most."""
        coding = self.coding_of(node)
        return self.most_bytes if coding is None else coding.packed_bytes

    @property
    def room_bytes(self) -> int:
        """Bytes of a buffer for the gradient of any node."""
        return max(self.most_bytes, self.coding.buffer_bytes if self.coding else 0)

    @property
    def most_bytes(self) -> int:
        """Maximum bytes of a packed gradient."""
        return 4 * self.gradient.buffer_size

    @property
    def least_bytes(self) -> int:
        """Minimum bytes of a packed gradient; without tables all have as many."""
        return 4 * self.gradient.least_packed_size

    def part_of(self, length: int, missing: int) -> tuple[int, int]:
        """Return the bytes of a packed or encoded gradient that a frame of `length` bytes brings, as a half-open range.

        `missing` is the number of bytes that the frames before have not brought. A gradient comes from its end to its
        beginning, in any number of frames; one with tables comes in one frame, because its size is not known before.

        Raises:
            ProtocolError: the frame cannot have them.
        """
        if self.gradient.tables:
            if not self.least_bytes <= length <= self.most_bytes or length % 4:
                raise ProtocolError(f"{length} bytes are no gradient")
            return 0, length
        if not 0 < length <= missing:
            raise ProtocolError(f"a part of {length} bytes of a gradient that lacks {missing}")
        return missing - length, missing

    # ---- weights

    @property
    def outside(self) -> list[slice]:
        """The parts of the shard outside tables that are pulled, in order."""
        return list(between(self.pulled, 0, self.gradient.size))

    @property
    def weights_bytes(self) -> int:
        """Bytes of a frame with the weights outside tables that are pulled."""
        return 4 * (self.gradient.size - sum(table.rows * table.width for table in self.pulled))

    @property
    def most_pull_bytes(self) -> int:
        """Maximum bytes of a frame that asks for rows."""
        return 4 * sum(1 + table.rows for table in self.pulled)

    def rows_of(self, rows: Mapping[int, Numbers], tables: Sequence[Table]) -> list[Numbers]:
        """Return the rows of each of the shard's tables, numbered within it.

        Args:
            rows: rows of whole tables, by the place of the table in the whole vector.
            tables: the whole tables.
        """
        parts = []
        for table in self.pulled:
            whole = whole_of(tables, self.start + table.offset)
            first = np.int32((self.start + table.offset - whole.offset) // table.width)
            numbers = rows.get(whole.offset, _NONE)
            begin, end = np.searchsorted(numbers, (first, first + table.rows))
            parts.append(numbers[begin:end] - first)
        return parts

    def pull_in(self, payload: Buffer) -> list[Numbers]:
        """Return the rows of each of the shard's tables that a frame asks for; inverse of `pack_numbers`.

        ProtocolError unless each table has these rows, and they ascend.
        """
        if len(payload) % 4:
            raise ProtocolError(f"row numbers in {len(payload)} bytes")
        values, parts = np.frombuffer(payload, "<i4"), []
        for table in self.pulled:
            count = int(values[0]) if len(values) else -1
            numbers, values = values[1 : 1 + count], values[1 + max(count, 0) :]
            if count != len(numbers) or not are_numbers(numbers, table.rows):
                raise ProtocolError(f"rows that a table of {table.rows} rows does not have")
            parts.append(numbers)
        if len(values):
            raise ProtocolError("row numbers of more tables than there are")
        return parts


def pack_numbers(parts: Sequence[Numbers]) -> list[Numbers]:
    """Return the arrays of a frame that asks for rows: for each table their number, then their numbers."""
    return [array for numbers in parts for array in (np.array([len(numbers)], "<i4"), numbers)]


_TERMS = TypeAdapter(Terms)
_NONE: Numbers = np.empty(0, np.int32)
