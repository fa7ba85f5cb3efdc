"""Fetches a kept data set from the coordinator of another node, as far as this node does not have it."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from raydient.steps.manifest import Manifest
from raydient.wire import control
from raydient.wire.connection import Connection
from raydient.wire.frames import ProtocolError

from .data import PreparedSets

AHEAD = 2
"""Data shards that are asked for before the first of them has arrived."""


def fetch(coordinator: Connection, manifest: Manifest) -> control.Arrays:
    """Return the arrays of a data set, which this node keeps if it has room. Blocks until they are whole.

    Raises ConnectionError if the connection ends, ProtocolError if a data shard is not that of the manifest.
    """

    def contents(lacking: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        requests = iter(lacking)
        for number in islice(requests, AHEAD):
            control.send(coordinator, control.FetchShard(number))
        for number in lacking:
            message, arrays = control.receive(coordinator)
            content = arrays.get(control.CONTENT, np.empty(0))
            if message != control.DataShard(number) or (content.dtype.str, content.ndim) != ("|u1", 1):
                raise ProtocolError(f"expected data shard {number}, got {message}")
            for further in islice(requests, 1):
                control.send(coordinator, control.FetchShard(further))
            yield content

    try:
        return PreparedSets().complete(manifest, contents)
    except ValueError as error:
        raise ProtocolError(str(error)) from None
