"""Consistency models as policies of the conductor: the rounds that are open at a time, and each worker's work. No I/O.

A step's gradient is the sum over its leaves. Each leaf is computed on the weights after some number of steps, the
version; the staleness of a gradient is the number of steps between its version and the weights to which it is applied.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import log2
from types import MappingProxyType

from raydient.spec.consistency import Consistency
from raydient.steps.schedule import Schedule
from raydient.steps.tree import maximal_subtrees
from raydient.steps.watched import Watched

from .assignments import divide
from .opened import Opened
from .position import Position
from .safeguard import level_of

MOST_STEPS = 4
"""Number of steps whose gradients a worker can hold, if it has computed all of them."""

Work = tuple[int, Opened, int, int]
"""A worker, an open round, and a half-open range of its leaves."""


class Policy:
    """A consistency model; this one is synchronous: one round is open, and all workers compute on the same weights.

    Attributes:
        is_stale: workers compute on copies of the weights, which change meanwhile.
    """

    is_stale = False

    def next_round(self, position: Position, opened: Mapping[int, Opened], schedule: Schedule) -> int | None:
        """Return the number of the round that may be opened next, besides those that are; None if none may."""
        return None if opened else position.round

    def opens(self, position: Position, number: int) -> None:
        """Note that a step is opened."""

    def applies(self, position: Position, number: int) -> None:
        """Note that a step is applied."""

    def complete(self, position: Position, opened: Mapping[int, Opened]) -> Opened | None:
        """Return the round that is applied next, if all its leaves are done."""
        first = opened.get(position.round)
        return first if first is not None and first.assignments.complete else None

    def hand_out(
        self,
        opened: Mapping[int, Opened],
        workers: Sequence[int],
        shares: Sequence[float],
        open_next: Callable[[], Opened | None],
    ) -> Iterator[Work]:
        """Assign leaves that wait to workers; `open_next` opens a further round, if one may be opened."""
        for one in opened.values():
            for worker, first, last in one.assignments.hand_out(workers, shares):
                yield worker, one, first, last

    def kept(self, position: Position, number: int) -> int:
        """Return how many rounds before `number`, which is assigned, may still need gradients of the worker."""
        return 0

    def version(self, position: Position, number: int, leaf: int) -> int:
        """Return the number of updates in the weights on which a leaf that is assigned now is computed."""
        return position.step


class FixedLeaves(Policy):
    """Synchronous training in which each leaf of a step stays with one worker, which carries its residual.

    The first plan divides the leaves of a whole step. The leaves of a worker that leaves wait, because their residuals
    are lost with it: the coordinator begins another generation at a checkpoint, as for any other division.

    Attributes:
        holders: the workers that have leaves.
    """

    def __init__(self, leaves: int) -> None:
        """`leaves`: number of leaves of a whole step."""
        self._leaves = leaves
        self._ranges: dict[int, tuple[int, int]] = {}

    @property
    def holders(self) -> Sequence[int]:
        return list(self._ranges)

    def hand_out(
        self,
        opened: Mapping[int, Opened],
        workers: Sequence[int],
        shares: Sequence[float],
        open_next: Callable[[], Opened | None],
    ) -> Iterator[Work]:
        if not self._ranges:
            ranges = zip(workers, divide(0, self._leaves, shares), strict=True)
            self._ranges = {worker: (first, last) for worker, (first, last) in ranges if first < last}
        for one in opened.values():
            for worker, (first, end) in self._ranges.items():
                last = min(end, one.round.leaves)  # the last batch of an epoch may have fewer
                if worker in workers and first < last and one.assignments.waiting(first, last):
                    one.assignments.assign(worker, first, last)
                    yield worker, one, first, last


class _Stale(Policy):
    """A worker gets leaves when it has pushed those before: of the oldest round that lacks some, else of the next one.

    A worker holds its gradients in `slots` until their rounds are applied, and waits if they would not suffice.
    """

    is_stale = True

    def __init__(self, slots: int) -> None:
        self._slots = slots

    def hand_out(
        self,
        opened: Mapping[int, Opened],
        workers: Sequence[int],
        shares: Sequence[float],
        open_next: Callable[[], Opened | None],
    ) -> Iterator[Work]:
        owing = {worker for one in opened.values() for worker in one.assignments.owing}
        for worker, share in zip(workers, shares, strict=True):
            if worker in owing:
                continue
            waiting = [number for number, one in opened.items() if one.assignments.waits]
            chosen = opened[min(waiting)] if waiting else open_next()
            if chosen is None:
                return
            leaves, assignments = chosen.round.leaves, chosen.assignments
            first, last = assignments.first_waiting(self._count(leaves, share / sum(shares)))
            nodes = sum(1 for _ in maximal_subtrees(first, last, leaves))
            held = sum(one.assignments.held(worker) for one in opened.values())
            if not held or held + nodes + log2(last - first) <= self._slots:
                assignments.assign(worker, first, last)
                yield worker, chosen, first, last

    def _count(self, leaves: int, share: float) -> int:
        """Return the number of leaves that a worker with this share gets at a time, at most."""
        return leaves


class BoundedStaleness(_Stale):
    """Rounds are applied in order, and one may be opened while at most `limit` before it are not applied.

    So a leaf of step t is computed on weights that have all steps before t - limit, and none from t on: the condition
    of stale synchronous parallel (Ho et al. 2013), with steps for clocks. With limit 0 it is synchronous training.
    """

    def __init__(self, slots: int, limit: int) -> None:
        super().__init__(slots)
        self._limit = limit

    def next_round(self, position: Position, opened: Mapping[int, Opened], schedule: Schedule) -> int | None:
        number = max(opened, default=position.round - 1) + 1
        return number if number <= position.round + self._limit else None

    def kept(self, position: Position, number: int) -> int:
        return number - position.round

    def _count(self, leaves: int, share: float) -> int:
        return max(1, round(leaves * share))


class Asynchronous(_Stale):
    """Each worker computes a whole batch, and its gradient is applied when it arrives, before it gets the next one.

    An epoch ends when all its batches are applied; until then none of the next epoch is opened.
    """

    def next_round(self, position: Position, opened: Mapping[int, Opened], schedule: Schedule) -> int | None:
        dropped = [number for number in position.outstanding if number not in opened]
        if dropped:  # before a checkpoint from which training goes on
            return dropped[0]
        number = position.round + len(position.outstanding)
        epoch = schedule.position(position.round)[0]
        return number if not opened or schedule.position(number)[0] == epoch else None

    def opens(self, position: Position, number: int) -> None:
        if number not in position.outstanding:
            position.outstanding.append(number)

    def applies(self, position: Position, number: int) -> None:
        position.outstanding.remove(number)

    def complete(self, position: Position, opened: Mapping[int, Opened]) -> Opened | None:
        return next((one for _, one in sorted(opened.items()) if one.assignments.complete), None)


Policies = Callable[[Consistency, Mapping[str, Watched]], Policy]
"""Returns the policy of a model in a state of the watched metrics, see `policy_of`."""


def policy_of(consistency: Consistency, slots: int, watched: Mapping[str, Watched] = MappingProxyType({})) -> Policy:
    """Return the policy of a job.

    `slots` is the number of gradients that a worker can hold, `watched` is the position's, for the safeguard.
    """
    if not consistency.is_stale:
        return Policy()
    limit = level_of(consistency, watched).limit
    return Asynchronous(slots) if limit is None else BoundedStaleness(slots, limit)


def slots_of(schedule: Schedule, consistency: Consistency) -> int:
    """Return the number of gradients that a worker can hold.

    In a synchronous job it is one for each leaf. Where several steps are open, a worker that has no slot left waits.
    """
    leaves, limit = min(schedule.microbatches, schedule.batch_size), consistency.limit or 0
    return leaves * min(1 + limit, MOST_STEPS)
