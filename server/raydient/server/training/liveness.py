"""Whether a coordinator still answers its service. An algorithm; the clock is handed in."""

from collections.abc import Callable

LOOK_SECONDS = 1.0
"""Time between pings."""
START_SECONDS = 120.0
"""How long a coordinator may take to start and answer; Ray on a busy machine takes a while."""
SILENT_SECONDS = 15.0
"""A coordinator that does not answer for so long is stopped. Its data may be read in calls that let no thread run."""
ORDER_SECONDS = 5.0
"""The same while an order waits for it: a user who cancels a job is not kept waiting."""


class Liveness:
    """Counts for how long one coordinator has not answered. One thread calls it, but for `order`.

    Only time in which the service itself is at work counts; see `Pulses`.
    """

    def __init__(self, clock: Callable[[], float], *, started: bool = False) -> None:
        """`started`: it answered an earlier service."""
        self._clock = clock
        self._last = clock()
        self._silence = 0.0
        self._started, self._ordered = started, False

    def answered(self) -> None:
        """A ping was answered, so that what was ordered before will be heard."""
        self._started, self._ordered, self._silence = True, False, 0.0

    def order(self) -> None:
        """Something was ordered."""
        self._ordered = True

    def look(self) -> bool:
        """Time has passed, about LOOK_SECONDS; whether the coordinator is stopped."""
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
