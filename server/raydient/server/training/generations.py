"""The generations of a run: the members that take part in each, and the time that they may take to do so. No I/O."""

from collections.abc import Callable, Sequence

from raydient.wire.control import Role

from .actions import Action, Kill, Leave, Serve, Start, Tell, Work
from .failures import PARTED, loss_notice
from .reports import Notice
from .roster import Member, Roster

START_SECONDS = 120.0
"""Time that a process may take to start and introduce itself; Ray on a busy machine takes a while."""
RETURN_SECONDS = 3.0
"""Time that a survivor may take to introduce itself again: about as long as another process takes to start.

A worker notices the loss of a server when it has computed its leaf, but not if the server's machine has lost power.
"""
DECISION_SECONDS = 1.5
"""Time for which a worker without its server waits for the next generation before it counts as lost itself.

A server whose connection has ended is known to be lost after `departures.PARTING_SECONDS`.
"""


class Generations:
    """Leads the members of a run from one generation to the next. One thread calls it.

    The loss of a parameter server ends a generation, and so does the loss of a worker that holds residuals, and another
    division of these. Its members stay, leave their parts, and introduce themselves again; those that do not are given
    up.

    Attributes:
        current: number of the current generation.
        suspicion: report that a server has lost its connection to another one. It is sent if all of them come back; if
            one is lost, the report of that loss explains both.
    """

    def __init__(self, roster: Roster, clock: Callable[[], float]) -> None:
        self.current = 0
        self.suspicion: Notice | None = None
        self._roster, self._clock = roster, clock

    def start_missing(self) -> list[Action]:
        """Start all missing members."""
        servers = self._roster.servers - len(self._roster.serving)
        return [*map(self._start, [Role.PARAMETER_SERVER] * servers + [Role.WORKER] * self._roster.missing)]

    def _start(self, role: Role) -> Start:
        return Start(role, self._roster.add(role, self._clock()))

    def introduced(self, number: int, *, refused: bool) -> list[Action]:
        """Handle the first introduction of a member; a `refused` one gets no part."""
        member = self._roster[number]
        member.introduced, member.refused = not refused, refused
        return [] if refused else self._parts_for(number, member)

    def returned(self, number: int, left: int) -> list[Action] | None:
        """Handle the introduction of a member that has left its part in generation `left`.

        Returns None if that is the current one: the member has lost its connection to a parameter server, and none is
        known to be lost.
        """
        member = self._roster[number]
        if left == self.current:
            member.left, member.attached, member.since = True, False, self._clock()
            if member.role is Role.PARAMETER_SERVER:
                self.suspicion = loss_notice(member.role, number, PARTED)
            return None
        member.introduced, member.returning = True, False
        return self._parts_for(number, member)

    def explained(self, role: Role) -> None:
        """Note that a member of this role is lost: the loss of a server explains the suspicion."""
        if role is Role.PARAMETER_SERVER:
            self.suspicion = None

    def hears(self, number: int) -> bool:
        """Return True if messages of this member count: not those of a survivor about the state before the rollback."""
        return number in self._roster and self._roster[number].introduced

    def _parts_for(self, number: int, member: Member) -> list[Action]:
        """Give a member its part; give all members theirs, if it is the last parameter server."""
        if not self._roster.has_servers:
            return []
        if member.role is Role.WORKER:
            return [self._work(number)]
        explained, self.suspicion = [self.suspicion] if self.suspicion else [], None
        serve = Serve(self._roster.serving, self.current)
        return [*map(Tell, explained), serve, *map(self._work, self._roster.introduced)]

    def _work(self, number: int) -> Work:
        member = self._roster[number]
        has_data, member.has_data = member.has_data, True
        return Work(number, member.place, self._roster.wanted, self.current, has_data)

    def end(self, workers: Sequence[int]) -> list[Action]:
        """End workers that have left the roster as planned."""
        actions: list[Action] = []
        for worker in workers:
            text = f"worker {worker} has left, {len(self._roster.at_work)} at work"
            actions += [Kill(worker), Tell(Notice("WORKER_LEFT", text))]
        return actions

    def begin_next(self) -> list[Action]:
        """Begin the next generation with the members that live.

        Those that have a part in the last one have to leave it and introduce themselves again. Workers that were about
        to leave are ended.
        """
        self.current += 1
        roster, actions = self._roster, list[Action]()
        for number in roster:
            member = roster[number]
            if member.leaving is not None:
                roster.remove(number)
                actions.append(Kill(number))
                continue
            if member.introduced and not member.left:
                member.introduced, member.returning, member.since = False, True, self._clock()
                actions += [Leave(number)] if member.role is Role.PARAMETER_SERVER else []
            member.left = member.attached = False
        return actions

    def late(self) -> dict[int, str]:
        """Return the members whose time is over, each with the reason."""
        late, now = {}, self._clock()
        for number in self._roster:
            member = self._roster[number]
            waited = now - member.since
            if member.left and waited > DECISION_SECONDS:
                late[number] = "its connection to a parameter server ended"
            elif member.returning and waited > RETURN_SECONDS:
                late[number] = f"not back within {RETURN_SECONDS:.0f} seconds to begin again at a checkpoint"
            elif not (member.introduced or member.returning or member.refused) and waited > START_SECONDS:
                late[number] = f"not started within {START_SECONDS:.0f} seconds"
        return late
