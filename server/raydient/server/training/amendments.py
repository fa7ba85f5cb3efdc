"""The amendments of a job as the coordinator of a run has them. No I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from raydient.spec.amending import CONSISTENCY
from raydient.spec.consistency import Consistency
from raydient.steps.amendments import Amendment


class Amendments:
    """All amendments of a job that the coordinator has received. For one thread.

    An amendment has no round until the conductor decides it. The round is kept: when training falls back to a
    checkpoint before it, the next conductor puts the amendment into force at the same round again.
    """

    def __init__(self, amendments: Iterable[Amendment] = ()) -> None:
        """`amendments` are those that the service had accepted when the run began, in order."""
        self._known = {amendment.number: amendment for amendment in amendments}

    def accept(self, amendment: Amendment) -> bool:
        """Add an amendment of the service; False if it is known."""
        if amendment.number in self._known:
            return False
        self._known[amendment.number] = amendment
        return True

    def decided(self, amendment: Amendment) -> bool:
        """Take the round and the values of an amendment that is in force; False if they were known."""
        if self._known.get(amendment.number) == amendment:
            return False
        self._known[amendment.number] = amendment
        return True

    def ever_stale(self, consistency: Consistency) -> bool:
        """Return True if a job of this consistency may have been stale at any time."""
        return consistency.is_stale or any(CONSISTENCY in path for one in self._known.values() for path in one.settings)

    def waiting(self, in_force: Sequence[Amendment], step: int) -> list[Amendment]:
        """Return the amendments that are not in force at a position, in order, by those that are.

        None that is not decided takes effect before `step`: epochs up to there have been recorded without it.
        """
        newest = max((amendment.number for amendment in in_force), default=0)
        waiting = [self._known[number] for number in sorted(self._known) if number > newest]
        return [one if one.round is not None else replace(one, step=max(one.step, step)) for one in waiting]
