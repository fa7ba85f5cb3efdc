"""The checkpoints of a run: decides when they are taken and when failed writes are retried. No I/O."""

import math
from collections.abc import Callable, Sequence

from .reports import Notice

RETRY_SECONDS = 10.0
"""Pause after a checkpoint could not be written; it doubles up to the job's interval."""
HELD_RETRY_SECONDS = 1.0, 10.0
"""The same for the final checkpoint, which is held in memory: the first pause and the longest."""
COMPLETE_SECONDS = 600.0
"""Time for which writing the final checkpoint of a complete training is retried before the job fails."""
PAUSED_SECONDS = 8.0
"""The same for a pause, which then ends at the previous checkpoint; shorter than a service's grace period."""
HURRY_SECONDS = 5.0
"""Time that a run that pauses waits for the end of the open round before it gives that round up."""


class Saving:
    """The checkpoints of a run. One thread calls it.

    Attributes:
        steps: steps of the checkpoints on disk, in ascending order.
        asked: a snapshot has been requested and has not arrived.
        held: the final snapshot is kept in memory, because it could not be written.
        problem: why the held snapshot could not be written.
    """

    def __init__(self, interval_seconds: float, keep: int, clock: Callable[[], float]) -> None:
        """Take a checkpoint every `interval_seconds`; the newest `keep` are on disk."""
        self._interval, self._keep, self._clock = interval_seconds, keep, clock
        self.steps: list[int] = []
        self.asked = self.held = False
        self.problem = ""
        self._failures = 0  # in a row
        self._next = clock() + interval_seconds
        self._deadline = 0.0  # of a snapshot that is held
        self._hurry_at = math.inf

    @property
    def step(self) -> int:
        """Step of the newest checkpoint; 0 if there is none."""
        return self.steps[-1] if self.steps else 0

    @property
    def origin(self) -> str:
        """The point from which a later run goes on, in words."""
        return f"the checkpoint of step {self.step}" if self.steps else "the beginning"

    @property
    def outcome(self) -> str:
        """The result of giving up the held snapshot, in words."""
        return f"{self.problem}; it goes on from {self.origin}"

    @property
    def due(self) -> bool:
        """True if it is time to request a snapshot, or to write the held one again."""
        return not self.asked and self._clock() >= self._next

    @property
    def ready(self) -> bool:
        """True if a snapshot may be requested before it is due: none is on its way, and the last one was written."""
        return not self.asked and not self._failures

    @property
    def over(self) -> bool:
        """True if the deadline of the held snapshot has passed."""
        return self.held and self._clock() >= self._deadline

    def written(self, step: int) -> None:
        """Note that the checkpoint of a step is on disk."""
        self.steps = [*(s for s in self.steps if s != step), step][-self._keep :]
        self.asked = self.held = False
        self._failures = 0
        self._next = self._clock() + self._interval

    def found(self, step: int, checkpoints: Sequence[int], *, damaged: bool) -> list[Notice]:
        """Note the checkpoints that are on disk; see `Coordinator.served`."""
        lost = damaged or bool(self.steps)
        self.steps = list(checkpoints)
        if checkpoints:
            return [Notice("RESUMED", f"goes on from the checkpoint of step {step}")]
        over = Notice("STARTED_OVER", "there is no good checkpoint: training starts again at step 0")
        return [over] if lost else []

    def failed(self, step: int, why: str) -> Notice:
        """Report that the checkpoint of a step could not be written."""
        seconds = self._wait(RETRY_SECONDS, max(self._interval, RETRY_SECONDS))
        return _failure(f"{_problem(step, why)}; training goes on", seconds)

    def hold(self, step: int, why: str, patience_seconds: float) -> Notice:
        """Report that the final snapshot could not be written, and hold it until `patience_seconds` after that."""
        self.problem = _problem(step, why)
        if not self.held:
            self.held, self._failures = True, 0
            self._deadline = self._clock() + patience_seconds
        return _failure(f"{self.problem}; it is kept in memory", self._wait(*HELD_RETRY_SECONDS))

    def pause(self) -> bool:
        """Note that the run pauses. Return True if a final snapshot is needed; a held one gets a shorter deadline."""
        if self.held:
            self._deadline = min(self._deadline, self._clock() + PAUSED_SECONDS)
            return False
        self.asked = True
        self._hurry_at = self._clock() + HURRY_SECONDS
        return True

    def hurry(self) -> bool:
        """Return True once, when the final snapshot has to be requested again, without the open round."""
        if self._clock() < self._hurry_at:
            return False
        self._hurry_at = math.inf
        return True

    def _wait(self, first: float, longest: float) -> float:
        seconds = min(first * 2.0 ** min(self._failures, 32), longest)
        self._failures += 1
        self.asked = False
        self._next = self._clock() + seconds
        return seconds


def _problem(step: int, why: str) -> str:
    return f"the checkpoint of step {step} could not be written: {why}"


def _failure(text: str, seconds: float) -> Notice:
    return Notice("CHECKPOINT_FAILED", f"{text}, next attempt in {seconds:.0f} s")
