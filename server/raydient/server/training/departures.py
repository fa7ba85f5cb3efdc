"""Decides when a member counts as lost because its process or its connection has ended. No I/O."""

from collections.abc import Callable

PARTING_SECONDS = 1.0
"""Time that a process may take to end after its connection has ended, and its last messages to arrive after its end."""


class Departures:
    """Watches the ends of the members' processes and connections. Not thread-safe.

    The exit status of a process shows more of the reason of its end than its connection does, and messages that it sent
    before (for example that all work is done) count. So neither end is a loss at once.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._disconnected: dict[int, float] = {}  # members without a connection, and when it ended
        self._ended: dict[int, float] = {}  # members whose process has ended, and when that was noticed

    @property
    def pending(self) -> bool:
        """True if a member's process has ended: its last messages are to be read without waiting for others."""
        return bool(self._ended)

    def disconnected(self, member: int) -> None:
        """Note that the connection of a member has ended."""
        self._disconnected[member] = self._clock()

    def forget(self, member: int) -> None:
        """Forget a member that was killed or lost."""
        self._disconnected.pop(member, None)
        self._ended.pop(member, None)

    def look(self, member: int, ended: str | None, *, quiet: bool) -> str | None:
        """Return why a member counts as lost; None if it does not.

        Args:
            member: its number.
            ended: how its process ended; None while it runs.
            quiet: no message has come since the last look, from any member.
        """
        now = self._clock()
        if ended is not None:
            if quiet and member in self._ended:
                return ended
            late = now > self._ended.setdefault(member, now) + PARTING_SECONDS
            return ended if late else None
        if now > self._disconnected.get(member, now) + PARTING_SECONDS:
            return "its connection ended, it did not"
        return None
