"""Lists that are fetched from the server page by page as they are read."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, overload

Item = TypeVar("Item")


class Listing(Sequence[Item]):
    """A list of the server, newest first, as a sequence.

    Pages are fetched as they are needed and kept, so that reading an item again asks nothing. `len` and negative
    numbers need all pages. It does not change: a new list has what happened since.
    """

    def __init__(self, read: Callable[[], Iterator[Item]]) -> None:
        """`read` starts at the newest item; nothing is sent before the first item is read."""
        self._read = read
        self._items: list[Item] = []
        self._rest: Iterator[Item] | None = None
        self._is_complete = False

    def __repr__(self) -> str:
        read = f"{len(self._items)} items" if self._is_complete else f"{len(self._items)} items read so far"
        return f"<Listing: {read}>"

    def __iter__(self) -> Iterator[Item]:
        place = 0
        while self._has(place + 1):
            yield self._items[place]
            place += 1

    def __bool__(self) -> bool:
        return self._has(1)

    def __len__(self) -> int:
        self._has(None)
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> list[Item]: ...

    def __getitem__(self, place: int | slice) -> Item | list[Item]:
        """One item, or the list of the items in a slice. Raises IndexError if there is no such item."""
        if isinstance(place, slice):
            numbers = [number for number in (place.start, place.stop, place.step) if number is not None]
            self._has(place.stop if min(numbers, default=0) >= 0 else None)
            return self._items[place]
        if not self._has(None if place < 0 else place + 1) or place < -len(self._items):
            raise IndexError(f"there is no item {place}: the list is shorter")
        return self._items[place]

    def _has(self, count: int | None) -> bool:
        """Fetch items up to a number, or all of them. True if there are that many."""
        try:
            while not self._is_complete and (count is None or len(self._items) < count):
                if self._rest is None:
                    self._rest, self._items = self._read(), []
                try:
                    self._items.append(next(self._rest))
                except StopIteration:
                    self._is_complete = True
        except BaseException:
            self._rest = None  # an iterator that raised has ended, and the next reading starts anew
            raise
        return count is None or len(self._items) >= count
