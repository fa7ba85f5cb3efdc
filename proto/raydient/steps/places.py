"""The places of named arrays in one piece of memory or in one file."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from .arrays import CACHE_LINE, AnyArray

_PLAIN_TYPES = frozenset(np.dtype(code).newbyteorder("<").str for code in "?bBhHiIqQefd")
"""Booleans and numbers. An array from a peer must not hold pointers."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one array in a segment: NumPy type string (little-endian), shape, offset in bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def is_inside(self, size: int) -> bool:
        """Return True if this is an array of plain values in a segment of `size` bytes; a peer may send any place."""
        plain = self.dtype in _PLAIN_TYPES and min(self.shape, default=0) >= 0
        return plain and 0 <= self.offset <= size - self.size


def arranged(arrays: Mapping[str, tuple[str, tuple[int, ...]]]) -> tuple[dict[str, Place], int]:
    """Return a place for each array, given by its type and shape, one behind the other, and the bytes of all together.

    Each begins at a cache line.
    """
    places, offset = {}, 0
    for name, (dtype, shape) in arrays.items():
        places[name] = Place(np.dtype(dtype).str, tuple(shape), offset)
        offset += -(-places[name].size // CACHE_LINE) * CACHE_LINE
    return places, offset


def arrays_in(buffer: bytearray | memoryview, places: Mapping[str, Place]) -> dict[str, AnyArray]:
    """Return the arrays at some places of a buffer, by name. ValueError if one does not lie inside."""
    for name, place in places.items():
        if not place.is_inside(len(buffer)):
            raise ValueError(f"array {name} does not lie inside its segment")
    return {name: np.ndarray(place.shape, place.dtype, buffer, place.offset) for name, place in places.items()}
