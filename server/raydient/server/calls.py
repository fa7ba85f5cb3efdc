"""The cancellation of a client's call, for work on other threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Abandoned

ABANDONED = "the call was cancelled"


class Call:
    """A call of a client. May be used from any thread.

    Long work calls `check` before it changes anything, and registers a function that stops it with `ending`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self._stops: list[Callable[[], object]] = []

    def abandon(self) -> None:
        """Stop the registered work, because the client has cancelled the call. Harmless when repeated."""
        with self._lock:
            self._abandoned = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()

    def check(self) -> None:
        """Raise Abandoned if the client has cancelled the call."""
        with self._lock:
            if self._abandoned:
                raise Abandoned(ABANDONED)

    @contextmanager
    def ending(self, stop: Callable[[], object]) -> Iterator[None]:
        """Call `stop`, on the thread that calls `abandon`, if the call is abandoned within this context.

        Raises Abandoned, without calling `stop`, if the call is already abandoned.
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
