"""Samples in files, which the kernel reads before they are needed, so that no thread of ours waits for the disk."""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .source import MemorySource, PartName, Rows

_WILL_NEED = getattr(mmap, "MADV_WILLNEED", None)


class FileSource(MemorySource):
    """A `Source` whose samples are arrays in mapped files, which may be larger than the memory."""

    @property
    def reads_ahead(self) -> bool:
        """See `Source`."""
        return _WILL_NEED is not None

    def expect(self, part: PartName, indices: Rows) -> None:
        """See `Source`. The kernel reads the pages of these samples while the caller computes."""
        source = self._part(part)
        weights = [] if source.weights is None else [source.weights]
        for array in (*source.xs.values(), *source.ys.values(), *weights):
            map_ = map_of(array)
            if map_ is not None and _WILL_NEED is not None:
                for start, stop in page_ranges(array, map_, indices):
                    map_.madvise(_WILL_NEED, start, stop - start)


def map_of(array: NDArray[Any]) -> mmap.mmap | None:
    """Return the mapped file or memory that has an array's values; None if there is none."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = base.obj if isinstance(base, memoryview) else getattr(base, "base", None)
    return base


def page_ranges(array: NDArray[Any], map_: mmap.mmap, indices: Rows) -> Iterator[tuple[int, int]]:
    """Yield ranges of bytes of a map, in whole pages, that together have these rows of an array in it, ascending."""
    if not len(indices):
        return
    at = array.ctypes.data - np.frombuffer(map_, np.uint8).ctypes.data
    size = array.strides[0]
    rows = np.sort(indices)
    first = (at + rows * size) // mmap.PAGESIZE
    last = (at + (rows + 1) * size - 1) // mmap.PAGESIZE
    begins = np.flatnonzero(np.concatenate([[True], first[1:] > last[:-1] + 1]))
    ends = np.concatenate([begins[1:] - 1, [len(rows) - 1]])
    for begin, end in zip(first[begins].tolist(), last[ends].tolist(), strict=True):
        yield begin * mmap.PAGESIZE, min((end + 1) * mmap.PAGESIZE, len(map_))
