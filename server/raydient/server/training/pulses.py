"""Which members of a run have stopped answering pings. An algorithm; the clock is handed in."""

from collections.abc import Callable

from .roster import Roster

PING_SECONDS = 1.0
"""Time between pings to a member."""
SILENT_SECONDS = 5.0
"""A member whose pings are unanswered for so long is stopped."""
ALL_SILENT_SECONDS = 30.0
"""The same if no member answers: then it is rather the machine that stands still."""


class Pulses:
    """Counts the time for which each member with a lifeline has not answered. One thread calls it.

    Only time in which this process itself is at work counts: after a pause, of a machine that was suspended or a
    checkpoint that took long to write, answers that are waiting are read before anything is concluded.
    """

    def __init__(self, roster: Roster, clock: Callable[[], float]) -> None:
        self._roster, self._clock = roster, clock
        self._last = clock()

    def answered(self, member: int) -> None:
        """A member has opened its lifeline, or answered a ping."""
        if member in self._roster:
            self._roster[member].silence = 0.0

    def beat(self) -> list[int]:
        """The members to send a ping to; called as often as one likes."""
        passed = self._clock() - self._last
        if passed < PING_SECONDS:
            return []
        self._last += passed
        pinged = self._roster.with_lifeline
        for member in pinged.values():
            assert member.silence is not None
            member.silence += min(passed, 2 * PING_SECONDS)
        return list(pinged)

    def silent(self, member: int) -> bool:
        """True if this member has been silent for too long, whatever the others do."""
        return member in self._roster and (self._roster[member].silence or 0.0) > SILENT_SECONDS

    @property
    def stopped(self) -> dict[int, float]:
        """The members that do not answer any more, and for how long."""
        silence = {n: m.silence or 0.0 for n, m in self._roster.with_lifeline.items()}
        shortest = min(silence.values(), default=0.0)
        limit = SILENT_SECONDS if shortest <= SILENT_SECONDS else ALL_SILENT_SECONDS
        return {member: seconds for member, seconds in silence.items() if seconds > limit}
