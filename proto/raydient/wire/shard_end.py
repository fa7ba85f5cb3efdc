"""The worker's end of the connection to one shard over TCP: weights, rows of tables, and the parts of gradients."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raydient.steps.arrays import Vector
from raydient.steps.encoded import Encoded
from raydient.steps.gradient import Gradient, Table
from raydient.steps.sparse import Numbers, put

from .connection import Connection, Frame, limited_to
from .frames import Header, Kind, ProtocolError
from .terms import Terms, pack_numbers

allocate_small = limited_to(1 << 16)
"""For every frame but weights and rows."""


class ShardEnd:
    """The connection to one shard over TCP.

    Attributes:
        terms: the exchange with the shard.
        version: number of its weights, as received last.
    """

    def __init__(
        self, connection: Connection, terms: Terms, number: int, weights: Vector, encoded: Encoded | None = None
    ) -> None:
        """`encoded` has the encoded gradient of a leaf that is sent, where there is a codec."""
        self._encoded = encoded
        self.connection, self.terms, self.version = connection, terms.of_shard(number), -1
        mine = weights[self.terms.start : self.terms.stop]
        self._outside = [mine[where] for where in self.terms.outside]
        self._tables = [table.values(mine) for table in self.terms.pulled]
        # Weights of one piece are received in place.
        self._weights = self._outside[0] if len(self._outside) == 1 else np.empty(self.terms.weights_bytes // 4, "<f4")
        self._asked: list[Numbers] = []  # rows of each table
        self._awaited = 0  # number of their values
        self._rows: Vector = np.empty(0, "<f4")
        self._unsent = self.terms.gradient.size  # values of the next gradient that have not been sent
        if number:
            connection.allocate = self.allocate

    def allocate(self, header: Header) -> bytearray | memoryview:
        """Return the place for the payload of a frame with weights or rows; ProtocolError if it has another size."""
        if header.kind not in (Kind.WEIGHTS, Kind.ROWS):
            return allocate_small(header)
        place = self._weights if header.kind is Kind.WEIGHTS else self._rows[: self._awaited]
        if header.length != place.nbytes:
            name = header.kind.name.lower()
            raise ProtocolError(f"{name} of {header.length} bytes, {place.nbytes} were agreed")
        return place.data.cast("B")

    def put(self, header: Header, gradient: Gradient, start: int) -> None:
        """Send the shard's part of a gradient without tables from weight `start` of the whole vector on, once flushed.

        The counts of active units lie behind the last weight, and travel with it. The gradient of a leaf travels
        encoded where there is a codec; `start` is then the beginning of a block.
        """
        first = max(0, start - self.terms.start)
        if first < self._unsent:
            begin, size = self.terms.start, self.terms.gradient.size
            where = begin + first, begin + self._unsent
            encoded = self._encoded if self.terms.coding_of((header.first, header.last)) else None
            parts: list[Any] = [gradient.vector[slice(*where)]] if encoded is None else self._records(encoded, *where)
            counts: Any = gradient.active[: self.terms.gradient.units if self._unsent == size else 0]
            self.connection.put(header, *parts, counts)
            self._unsent = first

    def _records(self, encoded: Encoded, start: int, stop: int) -> list[Any]:
        """Return what travels of an encoded gradient: records, and before the first one the shard's exact values."""
        shard = self.terms
        exact = encoded.exact(shard.start, shard.stop) if start == shard.start else encoded.exact(start, start)
        return [exact, encoded.records(start, stop)]

    def put_rest(self, header: Header, gradient: Gradient) -> None:
        """Send the part of a gradient that has not been sent, once flushed. The next part is that of another one."""
        if self.terms.gradient.tables:
            packed: list[Any] = list(self.terms.within(gradient).pack())
            self.connection.put(header, *packed)
        else:
            self.put(header, gradient, 0)
        self._unsent = self.terms.gradient.size

    def next(self) -> Frame:
        """Return the next frame of a shard that is not the conductor's."""
        frame = self.connection.receive()
        assert frame is not None, "a blocking connection returns whole frames"
        return frame

    def take_weights(self, frame: Frame) -> int:
        """Put the weights of a frame into their places, and return its bytes."""
        self._check(frame, Kind.WEIGHTS, self._weights.nbytes)
        if len(self._outside) > 1:
            begin = 0
            for part in self._outside:
                part[:] = self._weights[begin : begin + len(part)]
                begin += len(part)
        self.version = frame.header.round
        return frame.header.length

    def ask(self, generation: int, rows: Mapping[int, Numbers], tables: Sequence[Table]) -> bool:
        """Ask for the rows that the shard has; return False if it has none of them."""
        self._asked = self.terms.rows_of(rows, tables)
        self._awaited = sum(
            len(numbers) * values.shape[1] for numbers, values in zip(self._asked, self._tables, strict=True)
        )
        if not self._awaited:
            return False
        if self.version < 0:
            raise ProtocolError("an assignment without weights")
        if self._awaited > len(self._rows):
            self._rows = np.empty(self._awaited, "<f4")
        packed: list[Any] = pack_numbers(self._asked)
        self.connection.send(Header(Kind.PULL, generation, self.version), *packed)
        return True

    def take_rows(self, frame: Frame) -> int:
        """Put the rows of a frame into their places, and return its bytes."""
        self._check(frame, Kind.ROWS, 4 * self._awaited)
        begin = 0
        for numbers, values in zip(self._asked, self._tables, strict=True):
            end = begin + len(numbers) * values.shape[1]
            put(values, numbers, self._rows[begin:end].reshape(-1, values.shape[1]))
            begin = end
        return frame.header.length

    def _check(self, frame: Frame, kind: Kind, length: int) -> None:
        header = frame.header
        if header.kind is not kind or header.length != length or (kind is Kind.ROWS and header.round != self.version):
            raise ProtocolError(f"a {header.kind.name} frame of {header.length} bytes instead of {kind.name}")
