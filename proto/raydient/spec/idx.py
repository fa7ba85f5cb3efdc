"""IDX files, the form of MNIST: bytes of images in one file, and of their labels in a file beside it.

A file has two bytes 0, the type of its values, the number of its axes, the length of each axis (big-endian, 4 bytes)
and the values in row-major order. It may be compressed by gzip.
"""

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePath
from typing import IO, cast

from .csv_text import GZIP
from .expansion import MAXIMUM_EXPANSION, expansion

SUFFIX = "-ubyte"
SUFFIXES = (SUFFIX, SUFFIX + GZIP)
UNSIGNED_BYTES = 8
MOST_AXES = 8
BLOCK_BYTES = 1 << 20

_IMAGES = re.compile(r"(.*)images(.)idx[1-9](-ubyte)(?:\.gz)?", re.DOTALL | re.IGNORECASE)


def is_idx(path: PurePath) -> bool:
    """True if the name of a file is one of an IDX file."""
    return path.name.lower().endswith(SUFFIXES)


def labels_of(images: Path) -> Path | None:
    """Return the path of the labels of images: `train-labels-idx1-ubyte` beside `train-images-idx3-ubyte`.

    Either may be compressed. None if the name of the images does not follow this convention.
    """
    match = _IMAGES.fullmatch(images.name)
    if match is None:
        return None
    plain = images.with_name(f"{match[1]}labels{match[2]}idx1{match[3]}")
    both = [plain, plain.with_name(plain.name + GZIP)]
    if images.name.lower().endswith(GZIP):
        both.reverse()
    return both[0] if both[0].exists() or not both[1].exists() else both[1]


@dataclass(frozen=True, slots=True)
class IdxFile:
    """An open file at the beginning of its values.

    Attributes:
        name: of the file, for errors.
        shape: of its array of unsigned bytes.
    """

    name: str
    shape: tuple[int, ...]
    _file: IO[bytes]

    @property
    def size(self) -> int:
        """Number of values, which is also the number of their bytes."""
        return prod(self.shape)

    def blocks(self) -> Iterator[bytes]:
        """Yield the values, some at a time. Raises ValueError if there are fewer or more than the file declares."""
        left = self.size
        while block := self._file.read(min(BLOCK_BYTES, left)):
            left -= len(block)
            yield block
        if left:
            raise ValueError(f"{self.name} ends {left} bytes before the {self.size} values that it declares")
        if self._file.read(1):
            raise ValueError(f"{self.name} goes on after the {self.size} values that it declares")

    def values(self) -> bytearray:
        """Return all values. Raises what `blocks` raises."""
        values = bytearray()  # which grows, because a damaged file may declare more than it holds
        for block in self.blocks():
            values += block
        return values


@contextmanager
def open_idx(path: Path) -> Iterator[IdxFile]:
    """Open a file; nothing but its header is read. Errors have the name of the file, without its folder.

    Raises:
        ValueError: it is no IDX file of unsigned bytes, is empty, or declares a size that it cannot have.
        OSError, EOFError, zlib.error: it cannot be read, now or when its values are.
    """
    with path.open("rb") as stored:
        size = path.stat().st_size
        is_compressed = path.name.lower().endswith(GZIP)
        file = cast("IO[bytes]", gzip.GzipFile(fileobj=stored)) if is_compressed else stored
        shape = _shape(path.name, file)
        opened = IdxFile(path.name, shape, file)
        declared = 4 + 4 * len(shape) + opened.size
        if not is_compressed and size != declared:
            raise ValueError(f"{path.name} has {size} bytes, but its header declares {declared}")
        if is_compressed and (ratio := expansion(opened.size, size)):
            text = f"{path.name} declares {ratio} times its compressed size"
            raise ValueError(f"{text}, more than the {MAXIMUM_EXPANSION} times that are read: store it uncompressed")
        yield opened


def _shape(name: str, file: IO[bytes]) -> tuple[int, ...]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= MOST_AXES:
        raise ValueError(f"{name} begins with {magic.hex(' ') or 'nothing'}, not with two zeros, a type and a rank")
    if magic[2] != UNSIGNED_BYTES:
        raise ValueError(f"{name} has values of type {magic[2]:#04x}: only unsigned bytes (0x08) are read")
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise ValueError(f"{name} ends within its header")
    shape = tuple(int.from_bytes(lengths[i : i + 4], "big") for i in range(0, len(lengths), 4))
    if not all(shape):
        raise ValueError(f"{name} is empty: its shape is {shape}")
    return shape
