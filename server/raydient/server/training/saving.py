"""Decides when checkpoints are taken and when failed writes are retried. Keeps times and counts; no I/O."""

from collections.abc import Callable

RETRY_SECONDS = 10.0
"""Pause after a checkpoint could not be written; it doubles up to the job's interval."""
HELD_RETRY_SECONDS = 1.0, 10.0
"""The same for the final checkpoint, which is held in memory: the first pause and the longest."""
COMPLETE_SECONDS = 600.0
"""Time for which writing the final checkpoint of a complete training is retried before the job fails."""
PAUSED_SECONDS = 8.0
"""The same for a pause, which then ends at the previous checkpoint; shorter than a service's grace period."""


class Saving:
    """The checkpoints of a run. One thread calls it.

    Attributes:
        asked: a snapshot has been requested and has not arrived.
        held: the final snapshot is kept in memory, because it could not be written.
    """

    def __init__(self, interval_seconds: float, clock: Callable[[], float]) -> None:
        self._interval, self._clock = interval_seconds, clock
        self.asked = self.held = False
        self._failures = 0  # in a row
        self._next = clock() + interval_seconds
        self._deadline = 0.0  # of a snapshot that is held

    @property
    def due(self) -> bool:
        """True if it is time to request a snapshot, or to write the held one again."""
        return not self.asked and self._clock() >= self._next

    @property
    def over(self) -> bool:
        """True if the deadline of the held snapshot has passed."""
        return self.held and self._clock() >= self._deadline

    def written(self) -> None:
        """Note that a checkpoint is on disk."""
        self.asked = self.held = False
        self._failures = 0
        self._next = self._clock() + self._interval

    def failed(self) -> float:
        """Note that a checkpoint could not be written. Returns the seconds until the next attempt."""
        return self._wait(RETRY_SECONDS, max(self._interval, RETRY_SECONDS))

    def hold(self, seconds: float) -> float:
        """Hold the final snapshot, which could not be written; its deadline is `seconds` after the first failure.

        Returns:
            Seconds until the next attempt.
        """
        if not self.held:
            self.held, self._failures = True, 0
            self._deadline = self._clock() + seconds
        return self._wait(*HELD_RETRY_SECONDS)

    def hurry(self) -> None:
        """Shorten the deadline of the held snapshot to that of a pause."""
        self._deadline = min(self._deadline, self._clock() + PAUSED_SECONDS)

    def _wait(self, first: float, longest: float) -> float:
        seconds = min(first * 2.0 ** min(self._failures, 32), longest)
        self._failures += 1
        self.asked = False
        self._next = self._clock() + seconds
        return seconds
