"""The rounds that are being computed. One at a time in a synchronous job, else as many as the policy allows. No I/O."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from raydient.steps.schedule import Round, RoundKind, Schedule

from .actions import Assign
from .amending import Amending
from .assignments import Assignments
from .consistency import Policy
from .opened import Opened
from .position import Position

_SYNCHRONOUS = Policy()


class OpenRounds:
    """The open rounds of a job, in the order in which they were opened.

    Attributes:
        policy: the consistency model.
        applied: the complete round that the shards carry out; None if they carry out no step or evaluation.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.applied: Opened | None = None
        self._rounds: dict[int, Opened] = {}

    def __bool__(self) -> bool:
        return bool(self._rounds)

    def __contains__(self, opened: Opened) -> bool:
        return self._rounds.get(opened.round.number) is opened

    def get(self, number: int) -> Opened | None:
        """Return the open round of this number; None if it is not open."""
        return self._rounds.get(number)

    def all(self) -> list[Opened]:
        """Return all of them."""
        return list(self._rounds.values())

    @property
    def current(self) -> Round | None:
        """The first of them in the job; None if none is open."""
        return self._rounds[min(self._rounds)].round if self._rounds else None

    @property
    def train(self) -> bool:
        """True if they are steps; False if none is open."""
        current = self.current
        return current is not None and current.kind is RoundKind.TRAIN

    @property
    def between(self) -> bool:
        """True if the weights between two updates are a state from which training can go on, with rounds open."""
        return self.policy.is_stale and self.train

    @property
    def owing(self) -> Mapping[int, int]:
        """Number of leaves that are assigned and not pushed, by worker."""
        return sum((Counter(opened.assignments.owing) for opened in self._rounds.values()), Counter())

    def refusal(self, number: int) -> str:
        """Return the reason to refuse a push to a round that is not open."""
        return "EARLY" if self._rounds and number > max(self._rounds) else "LATE"

    def open_next(self, schedule: Schedule, position: Position, amending: Amending | None) -> Opened | None:
        """Open the next round, if it may be open beside the others; return it.

        An evaluation, and a round before which an amendment takes effect, wait until no round is open.
        """
        number = self.policy.next_round(position, self._rounds, schedule)
        if number is None or number >= schedule.rounds:
            return None
        round_ = schedule.round(number)
        changes = amending is not None and number not in position.outstanding and amending.waits(position, number)
        alone = round_.kind is RoundKind.EVALUATE or changes
        if self._rounds and alone:
            return None
        opened = self._rounds[number] = Opened(round_, Assignments(round_.leaves))
        if round_.kind is RoundKind.TRAIN:
            self.policy.opens(position, number)
        return opened

    def hand_out(
        self,
        position: Position,
        workers: Sequence[int],
        shares: Sequence[float],
        open_next: Callable[[], Opened | None],
    ) -> list[Assign]:
        """Assign leaves that wait; see `Policy.hand_out`."""
        policy = self.policy if self.train else _SYNCHRONOUS
        assigned = []
        for worker, opened, first, last in policy.hand_out(self._rounds, workers, shares, open_next):
            number = opened.round.number
            opened.versions.update(dict.fromkeys(range(first, last), policy.version(position, number, first)))
            assigned.append(Assign(worker, number, first, last, policy.kept(position, number)))
        return assigned

    def forget(self, worker: int) -> None:
        """Take back the leaves that a worker has not pushed."""
        for opened in self._rounds.values():
            opened.assignments.forget(worker)

    def complete(self, position: Position) -> Opened | None:
        """Return the round that is applied next, if it is complete and no other is being applied."""
        if self.applied is None:
            self.applied = self.policy.complete(position, self._rounds)
            return self.applied
        return None

    def close(self, opened: Opened, position: Position) -> None:
        """Remove the round that was applied; the position is still that before it."""
        del self._rounds[opened.round.number]
        self.applied = None
        if opened.round.kind is RoundKind.TRAIN:
            self.policy.applies(position, opened.round.number)

    def clear(self) -> None:
        """Remove all rounds."""
        self._rounds.clear()
        self.applied = None
