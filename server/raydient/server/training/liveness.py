"""Detects a coordinator that has stopped answering its service. No I/O; the clock is an argument."""

from collections.abc import Callable

LOOK_SECONDS = 1.0
"""Time between pings."""
START_SECONDS = 120.0
"""Time that a coordinator may take to start and answer; Ray on a busy machine takes a while."""
SILENT_SECONDS = 15.0
"""A coordinator silent for this time counts as stopped. Reading its data may block all of its threads for seconds."""
ORDER_SECONDS = 5.0
"""The same while an order waits, so that cancelling a job does not take long."""


class Liveness:
    """Counts the time for which one coordinator has not answered. One thread calls it; `order` may come from another.

    Pauses of the service itself do not count; see `Pulses`.
    """

    def __init__(self, clock: Callable[[], float], *, started: bool = False) -> None:
        """`started`: the coordinator answered an earlier service."""
        self._clock = clock
        self._last = clock()
        self._silence = 0.0
        self._started, self._ordered = started, False

    def started(self) -> None:
        """Note that the coordinator has started: it has accepted the connection for reports. From any thread."""
        self._started, self._silence = True, 0.0

    def answered(self) -> None:
        """Note that a ping was answered; orders sent before will then be read."""
        self._started, self._ordered, self._silence = True, False, 0.0

    def order(self) -> None:
        """Note that an order was sent."""
        self._ordered = True

    def look(self) -> bool:
        """Count the time since the last call, about LOOK_SECONDS. Return True if the coordinator counts as stopped."""
        now = self._clock()
        self._silence += min(now - self._last, 2 * LOOK_SECONDS)
        self._last = now
        return self._silence > self._limit

    @property
    def _limit(self) -> float:
        if not self._started:
            return START_SECONDS
        return ORDER_SECONDS if self._ordered else SILENT_SECONDS

    @property
    def silence(self) -> float:
        """Seconds since the last answer."""
        return self._silence
