"""The members of a run, their states (started, introduced, attached, about to leave) and a shortage of workers."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import count

from raydient.spec.phrases import counted
from raydient.wire.control import Role

from .reports import Waiting

SHORT_SECONDS = 30.0
"""Grace period below the minimum number of workers before training is suspended."""


@dataclass(slots=True)
class Member:
    """A process of the run.

    Attributes:
        since: time at which it was started, was last seen waiting for a place on the cluster, or lost its part.
        place: index among the members of its role, from 0; a replacement takes the place of the lost member.
        introduced: it has introduced itself, since the state that it had was lost.
        returning: a survivor of the last generation that has not introduced itself again.
        left: a worker that has lost its connection to a parameter server, although none is known to be lost.
        has_data: a worker that has been sent the dataset.
        leaving: number of the first plan without this worker; the worker is ended when that plan is in force.
        refused: its machine computes other bits, so it gets no work.
        silence: seconds since it last answered a ping, see `Pulses`; None before it was heard of for the first time.
    """

    role: Role
    since: float
    place: int
    introduced: bool = False
    returning: bool = False
    left: bool = False
    has_data: bool = False
    attached: bool = False
    leaving: int | None = None
    refused: bool = False
    silence: float | None = None


class Roster:
    """The members of a run.

    Attributes:
        wanted: number of workers to run.
        minimum: number of workers below which training is suspended after a grace period; never above `wanted`.
        servers: number of parameter servers to run. The one in place 0 has the conductor.
    """

    def __init__(self, wanted: int, minimum: int, servers: int = 1) -> None:
        self.wanted, self.minimum, self.servers = wanted, minimum, servers
        self._members: dict[int, Member] = {}
        self._numbers = 0  # members ever started

    def __contains__(self, member: int) -> bool:
        return member in self._members

    def __getitem__(self, member: int) -> Member:
        return self._members[member]

    def add(self, role: Role, now: float) -> int:
        """Add a member that is being started and return its number, which is never reused."""
        number, self._numbers = self._numbers, self._numbers + 1
        taken = {m.place for m in self._members.values() if m.role is role}
        self._members[number] = Member(role, now, next(n for n in count() if n not in taken))
        return number

    def remove(self, member: int) -> Member | None:
        """Remove and return a member; None if it was removed before."""
        return self._members.pop(member, None)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._members))

    @property
    def answering(self) -> dict[int, Member]:
        """The members that have to answer pings: those that have opened a lifeline or introduced themselves."""
        return {n: m for n, m in self._members.items() if m.silence is not None}

    @property
    def serving(self) -> list[int]:
        """The parameter servers that were started, in the order of their places."""
        servers = [(m.place, n) for n, m in self._members.items() if m.role is Role.PARAMETER_SERVER]
        return [number for _, number in sorted(servers)]

    @property
    def has_servers(self) -> bool:
        """True if all parameter servers have introduced themselves."""
        introduced = [number for number in self.serving if self._members[number].introduced]
        return len(introduced) == self.servers

    @property
    def introduced(self) -> list[int]:
        """Workers that have introduced themselves."""
        return [n for n, m in self._workers() if m.introduced and not m.left]

    @property
    def at_work(self) -> list[int]:
        """Workers that a plan may name: attached, and not about to leave."""
        return [n for n, m in self._workers() if m.attached and m.leaving is None]

    @property
    def missing(self) -> int:
        """Number of workers to start; below 0, to end."""
        return self.wanted - sum(m.leaving is None for _, m in self._workers())

    @property
    def enough(self) -> bool:
        """True if at least the minimum number of workers are at work."""
        return len(self.at_work) >= self.minimum

    def all_here(self, unplaced: Collection[int]) -> bool:
        """Return True if every worker is attached, except refused ones and those that the cluster has no place for."""
        return all(m.attached or m.refused or n in unplaced for n, m in self._workers())

    def release_surplus(self, plan: int, *, at_work: bool) -> tuple[list[int], list[int]]:
        """Release the workers beyond `wanted`: first those that are not attached, then those in the last places.

        Args:
            plan: number of the next plan. Workers that are `at_work` leave when it is in force.
            at_work: attached workers have work.

        Returns:
            The workers that leave, and those that are removed now.
        """
        staying = [(m.attached, -m.place, n) for n, m in self._workers() if m.leaving is None]
        surplus = [n for _, _, n in sorted(staying)[: max(0, -self.missing)]]
        leaving = [n for n in surplus if at_work and self._members[n].attached]
        for worker in leaving:
            self._members[worker].leaving = plan
        return leaving, [n for n in surplus if n not in leaving and self.remove(n)]

    def remove_left(self, plan: int) -> list[int]:
        """Remove and return the workers that have left with this plan, which is in force."""
        left = [n for n, m in self._workers() if m.leaving is not None and m.leaving <= plan]
        return [n for n in left if self.remove(n)]

    @property
    def refused(self) -> int:
        """Number of members that run and get no work, because their machines compute other bits."""
        return sum(m.refused for m in self._members.values())

    def wait(self, unplaced: Collection[int], now: float) -> None:
        """Restart the time limit of members that the cluster has no place for yet."""
        for member in self._members.keys() & set(unplaced):
            self._members[member].since = now

    def _workers(self) -> list[tuple[int, Member]]:
        return [(n, m) for n, m in self._members.items() if m.role is Role.WORKER]


class Shortage:
    """Counts how long a run has had too few workers. One thread calls it.

    Attributes:
        standing: training is suspended.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.standing = False
        self._clock = clock
        self._since: float | None = None

    def begin(self) -> None:
        """Count from now on; processes are being started."""
        self._since = self._clock()

    def look(self, roster: Roster) -> Waiting | None:
        """Return a report if training is to be suspended or resumed now; `standing` says which."""
        if roster.enough:
            self._since = None
            was_standing, self.standing = self.standing, False
            return Waiting("") if was_standing else None
        if self._since is None:
            self._since = self._clock()
        if self.standing or self._clock() - self._since < SHORT_SECONDS:
            return None
        self.standing = True
        attached = f"{len(roster.at_work)} of at least {counted(roster.minimum, 'worker')} attached"
        others = f", {roster.refused} refused because their machines compute other bits" if roster.refused else ""
        return Waiting(f"{attached}{others}; training waits for the others")
