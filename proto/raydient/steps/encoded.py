"""An encoded gradient: the records of its blocks, between values that stay float32 and the counts of active units.

Statistics that are not learned, as those of batch normalization, stay float32: an average of rounded variances may be
far from the variance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from .arrays import Vector
from .codecs import BLOCK, CHUNK, Bytes, Codec, Noise, find_codec
from .gradient import Gradient
from .layout import Average, Layout
from .ranges import Range
from .tree import Node

NONE = "none"
"""Name of no codec in the job file."""


def is_leaf(node: Node) -> bool:
    """Return True if a node is a single leaf, whose gradient travels encoded where there is a codec."""
    return node[1] - node[0] == 1


@dataclass(frozen=True, slots=True)
class Coding:
    """The encoding of gradients without tables.

    An encoded gradient consists of its exact values, as float32, of the records of all blocks and of the counts of
    active units. In the records the exact values are 0.

    Attributes:
        name: name of the codec, see `find_codec`.
        size: number of weights.
        units: number of counts of active units.
        exact: ranges of weights whose gradient stays float32, in order.
    """

    name: str
    size: int
    units: int = 0
    exact: tuple[Range, ...] = ()

    @classmethod
    def of(cls, name: str, layout: Layout, units: int) -> "Coding | None":
        """Return the encoding of the gradient by the parameters of `layout`; None if the codec is `none`."""
        if name == NONE:
            return None
        averages = tuple((p.offset, p.stop) for p in layout.parameters if isinstance(p.kind, Average) and p.size)
        return cls(name, layout.size, units, averages)

    @property
    def codec(self) -> Codec:
        """The codec of the values."""
        codec = find_codec(self.name)
        assert codec is not None, f"no codec {self.name}"
        return codec

    @property
    def is_valid(self) -> bool:
        """True if the codec exists and the exact ranges lie in the vector, one behind the other."""
        bounds = [0, *(bound for part in self.exact for bound in part), self.size]
        return find_codec(self.name) is not None and self.units >= 0 and bounds == sorted(bounds)

    def within(self, start: int, stop: int, units: int) -> "Coding":
        """Return the encoding of the gradient by weights `start`..`stop` - 1; `start` is the beginning of a block."""
        exact = [(max(a, start) - start, min(b, stop) - start) for a, b in self.exact if a < stop and start < b]
        return Coding(self.name, stop - start, units, tuple(exact))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.size // BLOCK)

    @property
    def exact_values(self) -> int:
        """Number of values that stay float32."""
        return sum(stop - start for start, stop in self.exact)

    @property
    def packed_bytes(self) -> int:
        """Bytes of an encoded gradient."""
        return 4 * (self.exact_values + self.units) + self.codec.size(self.size)

    @property
    def buffer_bytes(self) -> int:
        """Bytes of a buffer for an encoded gradient, in which the last record is whole."""
        return 4 * (self.exact_values + self.units) + self.blocks * self.codec.record_bytes

    def unpack(self, packed: Bytes, gradient: Gradient) -> None:
        """Decode the gradient at the beginning of a buffer of at least `buffer_bytes`."""
        exact, end = 4 * self.exact_values, self.packed_bytes - 4 * self.units
        records = packed[exact : exact + self.blocks * self.codec.record_bytes].reshape(self.blocks, -1)
        decode(self.codec, records, gradient.vector, 0, self.size)
        values = packed[:exact].view("<f4")
        for place, (start, stop) in zip(self.places, self.exact, strict=True):
            gradient.vector[start:stop] = values[place : place + stop - start]
        gradient.active.view(np.uint8)[:] = packed[end : self.packed_bytes]

    @property
    def places(self) -> Sequence[int]:
        """Places of the exact ranges among the exact values."""
        return list(accumulate((stop - start for start, stop in self.exact), initial=0))[:-1]


class Encoded:
    """The encoded gradient of one leaf by all weights. Its parts are encoded from the end to the beginning.

    Attributes:
        coding: the encoding.
    """

    def __init__(self, coding: Coding) -> None:
        """Allocate the memory of one gradient."""
        self.coding = coding
        self._records = np.zeros((coding.blocks, coding.codec.record_bytes), np.uint8)
        self._exact = np.zeros(coding.exact_values, "<f4")
        self._scratch = np.empty((CHUNK, BLOCK), "<f4")
        self._free = [np.empty((CHUNK, BLOCK), "<u4") for _ in range(2)]

    def encode(self, vector: Vector, start: int, stop: int, noise: Noise, residual: Vector | None = None) -> None:
        """Encode the values `start`..`stop` - 1 of a gradient; both are bounds of blocks, or the end.

        `residual` has what was not sent of the gradients before, if the codec feeds it back; it is replaced by what is
        not sent now. A value that is not finite never replaces one. The server finds out about it, because the block
        sends at least one such value.
        """
        codec = self.coding.codec
        for place, first, last in self._exact_within(start, stop):
            self._exact[place : place + last - first] = vector[first:last]
        for begin in range(start, stop, CHUNK * BLOCK):
            end = min(begin + CHUNK * BLOCK, stop)
            first, blocks = begin // BLOCK, -(-(end - begin) // BLOCK)
            values, free = self._scratch[:blocks], [array[:blocks] for array in self._free]
            flat = values.reshape(-1)
            flat[: end - begin], flat[end - begin :] = vector[begin:end], 0
            for _, left, right in self._exact_within(begin, end):
                flat[left - begin : right - begin] = 0
            with np.errstate(all="ignore"):  # a value that is not finite ends the job, or the step
                if residual is not None:
                    flat[: end - begin] += residual[begin:end]
                codec.encode(values, self._records[first : first + blocks], first, noise, free)
            if residual is not None:
                _replace(residual[begin:end], flat[: end - begin])

    def decode(self, vector: Vector, start: int, stop: int) -> None:
        """Write the decoded values `start`..`stop` - 1 into a vector; both are bounds of blocks, or the end."""
        decode(self.coding.codec, self._records[start // BLOCK :], vector, start, stop)
        for place, first, last in self._exact_within(start, stop):
            vector[first:last] = self._exact[place : place + last - first]

    def records(self, start: int, stop: int) -> Bytes:
        """Return the records of the values `start`..`stop` - 1, one after the other; a view."""
        begin = start // BLOCK * self.coding.codec.record_bytes
        return self._records.reshape(-1)[begin : begin + self.coding.codec.size(stop - start)]

    def exact(self, start: int, stop: int) -> Vector:
        """Return the exact values among `start`..`stop` - 1; a view."""
        within = [(place, place + last - first) for place, first, last in self._exact_within(start, stop)]
        return self._exact[within[0][0] : within[-1][1]] if within else self._exact[:0]

    def _exact_within(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield the exact parts of a range: the place among the exact values, the first value, the value behind."""
        for place, (first, last) in zip(self.coding.places, self.coding.exact, strict=True):
            left, right = max(first, start), min(last, stop)
            if left < right:
                yield place + left - first, left, right


def _replace(residual: Vector, rest: Vector) -> None:
    """Replace the values of a residual where the new ones are finite."""
    finite = np.isfinite(rest)
    if finite.all():
        residual[:] = rest
    else:
        np.copyto(residual, rest, where=finite)


def decode(codec: Codec, records: Bytes, vector: Vector, start: int, stop: int) -> None:
    """Decode records, of which the first has the values from `start` on, into the values `start`..`stop` - 1."""
    with np.errstate(all="ignore"):
        whole = start + (stop - start) // BLOCK * BLOCK
        for begin in range(start, whole, CHUNK * BLOCK):
            end = min(begin + CHUNK * BLOCK, whole)
            first, last = (begin - start) // BLOCK, (end - start) // BLOCK
            codec.decode(records[first:last], vector[begin:end].reshape(-1, BLOCK))
        if whole < stop:
            values, last = np.empty((1, BLOCK), "<f4"), (whole - start) // BLOCK
            codec.decode(records[last : last + 1], values)
            vector[whole:stop] = values[0, : stop - whole]
