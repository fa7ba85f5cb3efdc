"""Arrays in files: as large as the disk, in memory as far as the kernel has room for them."""

import mmap
import os
from collections.abc import Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import DTypeLike

from .arrays import AnyArray


def array_in_file(folder: Path, shape: Sequence[int], dtype: DTypeLike) -> AnyArray:
    """Return an array of zeros in a file of `folder`, which has no name and so ends with the process.

    OSError if the disk has no room for it.
    """
    with TemporaryFile(dir=folder) as file:
        size = prod(shape) * np.dtype(dtype).itemsize
        file.truncate(size)
        reserve(file.fileno(), size)
        return mapped(file, shape, dtype)


def mapped(file: IO[bytes], shape: Sequence[int], dtype: DTypeLike) -> AnyArray:
    """Return the content of a file as an array; what is written to it is written to the file."""
    return np.ndarray(tuple(shape), dtype, mmap.mmap(file.fileno(), 0))


def reserve(descriptor: int, size: int) -> None:
    """Reserve the blocks of a file of `size` bytes. OSError if the disk has no room for them.

    A write to a mapped file without blocks ends the process if the disk is full.
    """
    if size and hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(descriptor, 0, size)
