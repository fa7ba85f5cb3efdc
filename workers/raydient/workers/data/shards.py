"""The data shards of a file of arrays: written with their checksums, and compared with them."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import numpy as np
from numpy.typing import NDArray

from raydient.steps.arrays import AnyArray
from raydient.steps.manifest import Manifest
from raydient.steps.places import Place

SHARD_BYTES = 2**24
"""Bytes of a data shard."""
_THREADS = 4
"""That compute checksums; SHA-256 of Python holds no lock of the interpreter."""

Bytes = NDArray[np.uint8]


def write_arrays(
    file: IO[bytes], arrays: Mapping[str, AnyArray], places: Mapping[str, Place], size: int
) -> Iterator[str]:
    """Write arrays to an empty file at their places, which ascend, and yield the SHA-256 of each data shard.

    Args:
        file: is written to while the result is read.
        arrays, places: by name.
        size: bytes of the file.

    Raises:
        OSError: there is no room.
    """
    digest, written = hashlib.sha256(), 0
    for part in _bytes_of(arrays, places, size):
        rest = part
        while len(rest):
            now = rest[: SHARD_BYTES - written % SHARD_BYTES]
            file.write(now)
            digest.update(now)
            written += len(now)
            rest = rest[len(now) :]
            if not written % SHARD_BYTES:
                yield digest.hexdigest()
                digest = hashlib.sha256()
    if written % SHARD_BYTES:
        yield digest.hexdigest()


def _bytes_of(arrays: Mapping[str, AnyArray], places: Mapping[str, Place], size: int) -> Iterator[memoryview]:
    """Yield the content of a file with some arrays."""
    at = 0
    for name, place in places.items():
        yield memoryview(bytes(place.offset - at))  # up to a cache line
        yield np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data
        at = place.offset + place.size
    yield memoryview(bytes(size - at))


def is_right(manifest: Manifest, shard: int, content: Bytes) -> bool:
    """Return True if this is the content of a data shard."""
    return hashlib.sha256(content.data).hexdigest() == manifest.checksums[shard]


def wrong_shards(manifest: Manifest, content: Bytes) -> list[int]:
    """Return the data shards, ascending, that are not as the manifest says; `content` is that of the whole file."""

    def is_wrong(shard: int) -> bool:
        return not is_right(manifest, shard, content[manifest.bytes_of(shard)])

    with ThreadPoolExecutor(_THREADS) as threads:
        wrong = list(threads.map(is_wrong, range(len(manifest.checksums))))
    return np.flatnonzero(wrong).tolist()
