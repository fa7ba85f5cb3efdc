"""The manifest of a prepared data set: a file of arrays, which is checked and sent in data shards of bounded size."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .places import Place

_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a file of arrays. A data shard is a range of its bytes: all have `shard_bytes`, the last the rest.

    ValueError if the parts do not fit each other.

    Attributes:
        key: of the data set, a SHA-256.
        size: bytes of the file.
        places: of the arrays in it, by name.
        shard_bytes: see above.
        checksums: SHA-256 of each data shard.
        signature: the meaning of the values, in the form of a model's metadata.
    """

    key: str
    size: int
    places: Mapping[str, Place]
    shard_bytes: int
    checksums: Sequence[str]
    signature: Mapping[str, str]

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.key):  # which names a folder
            raise ValueError(f"{self.key!r} is no SHA-256")
        if self.size < 1 or self.shard_bytes < 1 or len(self.checksums) != -(-self.size // self.shard_bytes):
            count = len(self.checksums)
            raise ValueError(f"{count} checksums of {self.shard_bytes} bytes each do not cover {self.size} bytes")
        for name, place in self.places.items():
            if not place.is_inside(self.size):
                raise ValueError(f"array {name} does not lie inside its file")

    def bytes_of(self, shard: int) -> slice:
        """Return the range of bytes of a data shard. IndexError if there is no such shard."""
        if not 0 <= shard < len(self.checksums):
            raise IndexError(f"data shard {shard} of {len(self.checksums)}")
        return slice(shard * self.shard_bytes, min((shard + 1) * self.shard_bytes, self.size))
