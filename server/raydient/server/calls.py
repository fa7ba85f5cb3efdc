"""The cancellation of a client's call, for work on other threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Abandoned

ABANDONED = "the call was cancelled"


class Call:
    """One call. May be used from any thread.

    Long work calls `check` before it changes anything, and registers with `ending` a function that stops it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self._stops: list[Callable[[], object]] = []

    def abandon(self) -> None:
        """Stop the registered work, because the client no longer waits. Harmless when repeated."""
        with self._lock:
            self._abandoned = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def check(self) -> None:
        """Raise Abandoned if the client no longer waits for the answer."""
        with self._lock:
            if self._abandoned:
                raise Abandoned(ABANDONED)

    @contextmanager
    def ending(self, stop: Callable[[], object]) -> Iterator[None]:
        """Call `stop` if the call is abandoned within this context, from the thread that abandons it.

        Raises Abandoned, without calling `stop`, if the call was abandoned before.
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
