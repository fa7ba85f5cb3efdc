"""Reads the next part of a file in a thread while the caller converts the part before."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")


def pipelined(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the same parts. A thread computes the next one meanwhile; it has ended when the iteration has."""
    remaining = iter(parts)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, remaining, None)
        while (part := following.result()) is not None:
            following = thread.submit(next, remaining, None)
            yield part
