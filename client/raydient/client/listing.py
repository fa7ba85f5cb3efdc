"""Lists that are fetched from the server page by page as they are read."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar, overload

Item = TypeVar("Item")


class Listing(Iterator[Item], Generic[Item]):
    """An iterator over a list of the server that can also be indexed and sliced.

    `listing[:5]` fetches the list again and counts from the newest item, independent of the iteration. It reads no more
    pages than it needs; negative numbers need all of them.
    """

    def __init__(self, read: Callable[[], Iterator[Item]]) -> None:
        """`read` starts at the newest item; nothing is sent before the first item is read."""
        self._read = read
        self._items: Iterator[Item] | None = None

    def __repr__(self) -> str:
        return "<Listing: read page by page; list(...) reads all of it, [:10] the first ten>"

    def __next__(self) -> Item:
        if self._items is None:
            self._items = self._read()
        return next(self._items)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        """One item, or the list of the items in a slice. Raises IndexError if there is no such item."""
        if not isinstance(place, slice):
            if place < 0:
                return list(self._read())[place]
            for item in islice(self._read(), place, None):
                return item
            raise IndexError(f"there is no item {place}: the list is shorter")
        if min(number for number in (place.start, place.stop, place.step, 0) if number is not None) < 0:
            return list(self._read())[place]
        return list(islice(self._read(), place.start, place.stop, place.step))
