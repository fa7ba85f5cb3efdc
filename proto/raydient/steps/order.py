"""The order of arrival of gradients in a job that is not synchronous, from which training can be repeated.

The record has 16 bytes for each push that was applied, in the order of the updates, little-endian:

    round u32 | first u16 | last u16 | version u64

`round`, `first` and `last` are the round and the leaves of the node, `version` is the number of updates in the weights
on which they were computed.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

ARRIVALS = "arrivals"
"""Name of the array of a snapshot that holds the record, (bytes,)."""
ARRIVAL = np.dtype([("round", "<u4"), ("first", "<u2"), ("last", "<u2"), ("version", "<u8")])


class Arrival(NamedTuple):
    """A push that was applied."""

    round: int
    first: int
    last: int
    version: int


def pack(arrivals: Iterable[Arrival]) -> bytes:
    """Return the record of pushes."""
    return np.array(list(arrivals), ARRIVAL).tobytes()


def unpack(record: bytes) -> list[Arrival]:
    """Return the pushes of a record. ValueError if it is cut."""
    return [Arrival(*values) for values in np.frombuffer(record, ARRIVAL).tolist()]
