"""When a checkpoint is taken, and when one that could not be written is tried again: times and counts, no files."""

from collections.abc import Callable

RETRY_SECONDS = 10.0
"""Pause after a checkpoint could not be written; it doubles up to the job's interval."""
HELD_RETRY_SECONDS = 1.0, 10.0
"""The same for the final checkpoint, which is held in memory: the first pause and the longest."""
COMPLETE_SECONDS = 600.0
"""How long the final checkpoint of a training that is complete is tried, before the job fails."""
INTERRUPTED_SECONDS = 8.0
"""The same for an interruption, which then ends at the checkpoint before: less than a service has when it stops."""


class Saving:
    """The checkpoints of a run. One thread calls it.

    Attributes:
        asked: a snapshot is on its way.
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
        """True if it is time to ask for a snapshot, or to write the one that is held."""
        return not self.asked and self._clock() >= self._next

    @property
    def over(self) -> bool:
        """True if the snapshot that is held is given up."""
        return self.held and self._clock() >= self._deadline

    def written(self) -> None:
        """A checkpoint is on disk."""
        self.asked = self.held = False
        self._failures = 0
        self._next = self._clock() + self._interval

    def failed(self) -> float:
        """A checkpoint could not be written while training goes on; seconds until the next attempt."""
        return self._wait(RETRY_SECONDS, max(self._interval, RETRY_SECONDS))

    def hold(self, seconds: float) -> float:
        """The final snapshot could not be written and is tried for so long from the first time on.

        Returns:
            Seconds until the next attempt.
        """
        if not self.held:
            self.held, self._failures = True, 0
            self._deadline = self._clock() + seconds
        return self._wait(*HELD_RETRY_SECONDS)

    def hurry(self) -> None:
        """The snapshot that is held is tried no longer than that of an interruption."""
        self._deadline = min(self._deadline, self._clock() + INTERRUPTED_SECONDS)

    def _wait(self, first: float, longest: float) -> float:
        seconds = min(first * 2.0 ** min(self._failures, 32), longest)
        self._failures += 1
        self.asked = False
        self._next = self._clock() + seconds
        return seconds
