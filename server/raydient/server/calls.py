"""A client's call, as work on threads sees it: the client may give it up while the work goes on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Abandoned

ABANDONED = "the call was cancelled"


class Call:
    """One call. Any thread may use it.

    Work that takes long asks `check` before it changes anything, and registers with `ending` what stops it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self._stops: list[Callable[[], object]] = []

    def abandon(self) -> None:
        """The client is gone or has waited long enough: stop what is registered. Harmless when repeated."""
        with self._lock:
            self._abandoned = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def check(self) -> None:
        """Raise Abandoned if nobody waits for the answer any more."""
        with self._lock:
            if self._abandoned:
                raise Abandoned(ABANDONED)

    @contextmanager
    def ending(self, stop: Callable[[], object]) -> Iterator[None]:
        """Call `stop` when the call is abandoned before this context ends, from the thread that abandons it.

        Raises Abandoned, without calling `stop`, if it was abandoned before.
        """
        with self._lock:
            if self._abandoned:
                raise Abandoned(ABANDONED)
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                if stop in self._stops:
                    self._stops.remove(stop)
