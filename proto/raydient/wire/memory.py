"""Memory that two processes of one machine share, and named arrays inside it.

A segment is anonymous: it has no name in any file system and travels as a file descriptor over a Unix socket. The
kernel frees it with the last process that maps it, so `kill -9` leaks nothing. One that is larger than the memory lies
in a file, of which the kernel has the pages in memory that are in use.
"""

import mmap
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from raydient.steps.files import reserve
from raydient.steps.places import Place, arranged, arrays_in


class Segment:
    """A piece of shareable memory, zeroed at creation; pages cost nothing until they are touched.

    The descriptor and the mapping live as long as this object and the arrays made from it.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        """Map `size` bytes of a descriptor that this object owns from now on."""
        if os.fstat(descriptor).st_size < size:
            os.close(descriptor)
            raise ValueError(f"a segment of {size} bytes was announced, but it is smaller")
        self.descriptor = descriptor
        self.size = size
        # Python cannot map 0 bytes, so an empty bundle has 1 byte.
        self._map = mmap.mmap(descriptor, max(size, 1))

    @classmethod
    def create(cls, size: int, folder: Path | None = None) -> Self:
        """Create a segment of `size` bytes, in memory or in a file of `folder`. OSError if there is no room for it."""
        if sys.platform == "linux" and folder is None:
            descriptor = os.memfd_create("raydient", os.MFD_CLOEXEC)
        else:
            descriptor, path = tempfile.mkstemp(prefix="raydient-", dir=folder)
            os.unlink(path)
        try:
            os.ftruncate(descriptor, max(size, 1))
            if folder is not None:
                reserve(descriptor, size)
        except (OSError, OverflowError):
            os.close(descriptor)
            raise
        return cls(descriptor, size)

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Map a file, which stays where it is. OSError if it cannot be opened."""
        return cls(os.open(path, os.O_RDWR | os.O_CLOEXEC), path.stat().st_size)

    @property
    def buffer(self) -> memoryview:
        """The bytes of the segment, writable."""
        return memoryview(self._map)[: self.size]

    def array(self, dtype: str, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
        """Return an array of `shape` that begins at byte `offset` of the segment; a view."""
        return np.ndarray(shape, dtype, self._map, offset)

    def __del__(self) -> None:
        if getattr(self, "descriptor", None) is not None:
            os.close(self.descriptor)


class Bundle:
    """Named arrays in one segment. A peer needs the segment and `places` to restore them."""

    def __init__(self, segment: Segment, places: Mapping[str, Place]) -> None:
        self.segment = segment
        self.places = dict(places)
        self.arrays = arrays_in(segment.buffer, places)

    @classmethod
    def allocate(cls, arrays: Mapping[str, tuple[str, tuple[int, ...]]], folder: Path | None = None) -> Self:
        """Allocate a bundle of zeros from the type and the shape of each array, by name; see `Segment.create`."""
        places, size = arranged(arrays)
        return cls(Segment.create(size, folder), places)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], folder: Path | None = None) -> Self:
        """Return a bundle that holds copies of these arrays; see `Segment.create`."""
        bundle = cls.allocate({name: (a.dtype.str, a.shape) for name, a in arrays.items()}, folder)
        for name, array in arrays.items():
            bundle.arrays[name][...] = array
        return bundle
