"""Detects members of a run that have stopped answering pings. No I/O; the clock is an argument."""

from collections.abc import Callable

from .roster import Roster

PING_SECONDS = 1.0
"""Time between pings to a member."""
SILENT_SECONDS = 5.0
"""A member that answers no ping for this time counts as stopped."""
ALL_SILENT_SECONDS = 30.0
"""The same if no member answers at all: then the machine is more likely to be stalled than every member."""


class Pulses:
    """Counts the time for which each member has not answered since it was heard of first. Not thread-safe.

    One interval between calls counts at most 2 * PING_SECONDS. After a pause of this process itself (suspended machine,
    slow write of a checkpoint), waiting answers are read before a member counts as stopped.
    """

    def __init__(self, roster: Roster, clock: Callable[[], float]) -> None:
        self._roster, self._clock = roster, clock
        self._last = clock()

    def answered(self, member: int) -> None:
        """Note that a member has introduced itself, opened its lifeline or answered a ping."""
        if member in self._roster:
            self._roster[member].silence = 0.0

    def beat(self) -> list[int]:
        """Return the members to ping now; empty if the last pings are less than PING_SECONDS ago."""
        passed = self._clock() - self._last
        if passed < PING_SECONDS:
            return []
        self._last += passed
        pinged = self._roster.answering
        for member in pinged.values():
            assert member.silence is not None
            member.silence += min(passed, 2 * PING_SECONDS)
        return list(pinged)

    def stopped(self, *, pausing: bool) -> dict[int, str]:
        """Return the stopped members, each with the reason why it counts as stopped.

        A run that is `pausing` needs a checkpoint from its parameter servers soon, and does not wait for it even if no
        member answers.
        """
        silence = {n: m.silence or 0.0 for n, m in self._roster.answering.items()}
        shortest = min(silence.values(), default=0.0)
        limit = SILENT_SECONDS if shortest <= SILENT_SECONDS else ALL_SILENT_SECONDS
        stopped = {n: f"no answer for {seconds:.0f} seconds" for n, seconds in silence.items() if seconds > limit}
        for server in self._roster.serving if pausing else ():
            if silence.get(server, 0.0) > SILENT_SECONDS:
                stopped.setdefault(server, "no answer, and a checkpoint is needed from it")
        return stopped
