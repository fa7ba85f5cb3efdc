"""Codecs: shorter forms of a gradient's values, in which the gradient of a leaf travels and in which it is added.

The gradient of each leaf is encoded and decoded before it is added to anything, so the bits of a sum do not depend on
the workers, shards and transports of a job. The values are encoded in blocks of the flat vector, and the bounds of
shards cut no block.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .arrays import Vector

BLOCK = 1 << 8
"""Values of a block, a divisor of a piece (see `ranges`). A scale of four bytes for each is 1.6 % of float32."""
CHUNK = 1 << 8
"""Blocks that are encoded or decoded at a time: 256 KiB, which stay in the cache. A quarter of that takes 1.5 times as
long, because of the calls.
"""

Bytes = NDArray[np.uint8]
Bits = NDArray[np.uint32]
Noise = Callable[[int, int], Bytes]
"""Returns random bytes, (blocks, BLOCK), for blocks of the vector from number `first` on: noise(first, blocks).

They are a function of the seed, the step, the leaf and the block alone.
"""


_INFINITE = np.uint32(0x7F800000)
"""The bits of an infinite float32; those of NaN are larger numbers."""


class Codec(ABC):
    """Encodes blocks of a gradient into records.

    Attributes:
        name: its name in the job file.
        head_bytes: bytes of a record before its values.
        value_bytes: bytes of an encoded value.
        feeds_back: what is not sent of a leaf's gradient is added to the next gradient of this leaf.
    """

    feeds_back: ClassVar[bool] = False
    name: ClassVar[str]
    head_bytes: ClassVar[int] = 0
    value_bytes: ClassVar[int]

    @property
    def record_bytes(self) -> int:
        """Bytes of an encoded block."""
        return self.head_bytes + BLOCK * self.value_bytes

    def size(self, values: int) -> int:
        """Return the bytes of this number of encoded values; the last record has no more values than are left."""
        blocks, rest = divmod(values, BLOCK)
        return blocks * self.record_bytes + (self.head_bytes + rest * self.value_bytes if rest else 0)

    @abstractmethod
    def encode(self, values: Vector, records: Bytes, first: int, noise: Noise, free: Sequence[Bits]) -> None:
        """Encode blocks.

        Args:
            values: (blocks, BLOCK); overwritten, by what is not sent if the codec feeds that back.
            records: (blocks, record_bytes), receives them.
            first: number of the first block in the vector.
            noise: random bytes for stochastic rounding.
            free: two arrays, (blocks, BLOCK), that are overwritten.
        """

    @abstractmethod
    def decode(self, records: Bytes, values: Vector) -> None:
        """Decode the blocks in `records`, (blocks, record_bytes), into `values`, (blocks, BLOCK)."""


class Float16(Codec):
    """IEEE 754 binary16, rounded to nearest even.

    A departure from the rounding of IEEE 754: a finite value beyond ±65504 becomes ±65504, because an infinite one ends
    the job. Values that are not finite stay so. Values below 2**-25 become 0.
    """

    name = "float16"
    value_bytes = 2
    _LARGEST = np.float32(65504)
    _LEAST_NORMAL = np.float32(2.0**-14)

    def encode(self, values: Vector, records: Bytes, first: int, noise: Noise, free: Sequence[Bits]) -> None:
        halves, (rounded, signs) = records.view("<u2"), free
        np.right_shift(values.view("<u4"), np.uint32(16), out=signs)
        np.abs(values, out=values)
        if not values.max() <= self._LARGEST:
            finite = np.isfinite(values)
            np.minimum(values, self._LARGEST, out=values, where=finite)
        # NumPy's own conversion, value by value, takes four times as long.
        bits = values.view("<u4")
        _to_nearest(bits, 13, rounded)
        rounded -= np.uint32(112 << 10)  # the exponent is biased by 15 instead of 127
        np.copyto(halves, rounded, casting="unsafe")
        # Below 2**-14 the last place is 2**-24, that of 0.5 in float32, so this addition rounds.
        np.add(values, np.float32(0.5), out=rounded.view("<f4"))
        np.copyto(halves, rounded, casting="unsafe", where=values < self._LEAST_NORMAL)
        undefined = bits >= _INFINITE
        if undefined.any():
            halves[undefined] = np.where(bits[undefined] > _INFINITE, 0x7E00, 0x7C00)
        signs &= np.uint32(0x8000)
        np.bitwise_or(halves, signs, out=halves, casting="unsafe")

    def decode(self, records: Bytes, values: Vector) -> None:
        np.copyto(values, records.view("<f2"))


class BFloat16(Codec):
    """The upper half of a float32, rounded to nearest even. NaN stays NaN."""

    name = "bfloat16"
    value_bytes = 2
    _NAN = np.uint16(0x7FC0)

    def encode(self, values: Vector, records: Bytes, first: int, noise: Noise, free: Sequence[Bits]) -> None:
        halves, undefined = records.view("<u2"), np.isnan(values)
        _to_nearest(values.view("<u4"), 16, free[0])
        np.copyto(halves, free[0], casting="unsafe")
        if undefined.any():
            halves[undefined] = self._NAN

    def decode(self, records: Bytes, values: Vector) -> None:
        np.left_shift(records.view("<u2"), np.uint32(16), out=values.view("<u4"), dtype=np.uint32)


class Int8(Codec):
    """Whole multiples, from -127 to 127, of a scale s = max |x| / 127 of each block, with stochastic rounding.

    x is rounded to a multiple of s / 256, y, and y to s ⌊y / s + u⌋ with u uniform in {0, 1/256, ..., 255/256}, so the
    mean of the decoded values is y: the error of the mean is at most s / 512, that of a value below s (1 + 1/512). QSGD
    (Alistarh et al. 2017, section 3.1) rounds in this way to multiples of a block's norm; the largest value instead of
    the norm is a departure, which it makes too in practice (section 4). A block below `_TINY` becomes 0; one with a
    value that is not finite becomes NaN.
    """

    name = "int8"
    head_bytes = 4
    value_bytes = 1
    _LEVELS = 127
    _TINY = np.float32(2.0**-100)
    """Smaller scales have no finite inverse."""

    def encode(self, values: Vector, records: Bytes, first: int, noise: Noise, free: Sequence[Bits]) -> None:
        # Half the time of `values.max(axis=1)`. NaN if there is one.
        flat, starts = values.reshape(-1), np.arange(0, values.size, BLOCK)
        largest = np.maximum(np.maximum.reduceat(flat, starts), -np.minimum.reduceat(flat, starts))
        largest[largest < self._TINY] = 0
        np.multiply(largest, np.float32(1 / self._LEVELS), out=records[:, :4].view("<f4")[:, 0])
        values *= _inverse(largest, np.float32(self._LEVELS * 256))[:, None]
        np.rint(values, out=values)
        if not np.isfinite(largest).all():
            values[~np.isfinite(largest)] = 0
        fixed = free[0].reshape(-1).view("<i2")[: values.size].reshape(values.shape)
        np.copyto(fixed, values, casting="unsafe")  # up to ±127 · 256, so the sum with a byte does not overflow
        fixed += noise(first, len(values))
        fixed >>= 8
        np.copyto(records[:, 4:].view(np.int8), fixed, casting="same_kind")

    def decode(self, records: Bytes, values: Vector) -> None:
        np.copyto(values, records[:, 4:].view(np.int8))
        values *= records[:, :4].view("<f4")


class TopK(Codec):
    """The values of largest magnitude of each block, as float32 with their places; the others are not sent.

    Of equal magnitudes the one at the lower place comes first. The residual r of a leaf keeps what is not sent of its
    gradient g: g + r is encoded, then r <- g + r - sent. This is sparsified SGD with memory (Stich et al. 2018,
    algorithm 1); gradient dropping (Aji and Heafield 2017) and deep gradient compression (Lin et al. 2018) select so in
    each layer. A departure: the number of values of each block is fixed, so the size of a gradient is known. NaN counts
    as the largest magnitude, so a block with values that are not finite sends at least one of them.
    """

    feeds_back = True
    name = "top_k"
    value_bytes = 0

    def __init__(self, fraction: float) -> None:
        """`fraction` of the values of a block, 256, are sent, rounded to a whole number, at least one."""
        self._fraction = fraction

    @property
    def kept(self) -> int:
        """Number of values of a block that are sent."""
        return max(1, round(BLOCK * self._fraction))

    @property
    def record_bytes(self) -> int:
        return 5 * self.kept

    def size(self, values: int) -> int:
        return -(-values // BLOCK) * self.record_bytes

    def encode(self, values: Vector, records: Bytes, first: int, noise: Noise, free: Sequence[Bits]) -> None:
        magnitudes = np.abs(values, out=free[0].view("<f4"))
        sent, places = self._parts(records)
        rows = np.arange(len(values))
        for n in range(self.kept):  # for few values a fifth of the time of `np.partition`
            largest = magnitudes.argmax(axis=1)
            places[:, n], sent[:, n] = largest, values[rows, largest]
            magnitudes[rows, largest] = -1
            values[rows, largest] = 0

    def decode(self, records: Bytes, values: Vector) -> None:
        sent, places = self._parts(records)
        values.fill(0)
        np.put_along_axis(values, places.astype(np.intp), sent, axis=1)

    def _parts(self, records: Bytes) -> tuple[Vector, Bytes]:
        """Return the values, (blocks, kept), and their places; views."""
        return records[:, : 4 * self.kept].view("<f4"), records[:, 4 * self.kept :]


def _to_nearest(bits: Bits, places: int, rounded: Bits) -> None:
    """Write numbers without their last binary places, rounded to nearest even, into `rounded`."""
    # Half of the last place that is kept, or just below half if that is even.
    np.right_shift(bits, np.uint32(places), out=rounded)
    rounded &= np.uint32(1)
    rounded += np.uint32((1 << places - 1) - 1)
    rounded += bits
    rounded >>= np.uint32(places)


def _inverse(values: Vector, numerator: np.float32) -> Vector:
    """Return numerator / values, and 0 for 0."""
    inverse = np.zeros_like(values)
    np.divide(numerator, values, out=inverse, where=values != 0)
    return inverse


CODECS: Mapping[str, Codec] = {codec.name: codec for codec in (Float16(), BFloat16(), Int8())}
"""The codecs without settings, by name in the job file; `none` is no codec."""


@cache
def find_codec(name: str) -> Codec | None:
    """Return the codec of a name, with its setting where it has one: `int8`, `top_k 0.01`. None if there is none."""
    kind, _, setting = name.partition(" ")
    if kind != TopK.name:
        return CODECS.get(name)
    try:
        fraction = float(setting)
    except ValueError:
        return None
    return TopK(fraction) if 0 < fraction <= 1 else None
