"""How long a worker may be silent while leaves of the open round wait for it. An algorithm; times are handed in."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from raydient.wire.schedule import Round, RoundKind

LOOK_SECONDS = 1.0
"""How often `overdue` is asked for."""
LEAST_SECONDS = 5.0
"""The shortest deadline, however fast the rounds are."""
TIMES = 10
"""A deadline in medians of recent rounds."""
RECENT = 32
"""Rounds of one shape that the median is taken of."""
FIRST_SECONDS = 1800.0
"""The shortest deadline of a worker's first round of a shape, in which it allocates and touches its memory. A process
that has stopped altogether is noticed sooner, by its pulse."""

_Shape = tuple[RoundKind, int]


@dataclass(slots=True)
class _Pace:
    """Recent rounds of one shape: how long they took, and how long per leaf of the largest share."""

    rounds: deque[float]
    leaves: deque[float]


class Deadlines:
    """Tells which workers are overdue. One thread calls it; all times are in seconds of one monotonic clock.

    A deadline is 10 medians of recent rounds of the same shape, and at least 5 s: if all workers become slower, so does
    the median. It counts from the worker's last push or assignment. Time in which the caller itself stood still counts
    for no worker: the machine was suspended, or an update took long.
    """

    def __init__(self) -> None:
        self._round: Round | None = None
        self._began = self._looked = 0.0
        self._largest = 0  # leaves of the largest share of the round
        self._active: dict[int, float] = {}  # worker to its last push or assignment
        self._pushed: set[int] = set()  # workers that have pushed in this round
        self._known: dict[_Shape, set[int]] = {}  # workers that have completed a round of a shape
        self._paces: dict[_Shape, _Pace] = {}

    def assigned(self, worker: int, this: Round, leaves: int, now: float) -> None:
        """A worker was given so many leaves of a round."""
        if self._round is not this:
            self._round, self._began, self._largest = this, now, 0
            self._pushed.clear()
        self._largest = max(self._largest, leaves)
        self._active[worker] = now

    def pushed(self, worker: int, now: float) -> None:
        """A push of a worker was accepted."""
        self._active[worker] = now
        self._pushed.add(worker)

    def completed(self, now: float) -> None:
        """The last push of the round that was assigned last has arrived."""
        if self._round is None:
            return
        shape = _shape(self._round)
        pace = self._paces.setdefault(shape, _Pace(deque(maxlen=RECENT), deque(maxlen=RECENT)))
        pace.rounds.append(now - self._began)
        pace.leaves.append((now - self._began) / self._largest)
        self._known.setdefault(shape, set()).update(self._pushed)

    def overdue(self, owing: Mapping[int, int], now: float) -> dict[int, float]:
        """The workers that are past their deadline, and for how long each has been silent.

        `owing` is the number of leaves of the open round that are assigned to a worker and not pushed.
        """
        stood_still = max(0.0, now - self._looked - 2 * LOOK_SECONDS)
        self._looked = now
        if self._round is None:
            return {}
        self._active = {w: min(now, since + stood_still) for w, since in self._active.items() if w in owing}
        silent = {w: now - self._active.setdefault(w, now) for w in owing}
        return {w: seconds for w, seconds in silent.items() if seconds > self._limit(w, owing[w], self._round)}

    def _limit(self, worker: int, leaves: int, this: Round) -> float:
        shape = _shape(this)
        pace = self._paces.get(shape)
        if pace is not None and worker in self._known[shape]:
            # Per leaf as well: after scaling down a share may be many times larger than the shares of recent rounds.
            return max(LEAST_SECONDS, TIMES * median(pace.rounds), TIMES * leaves * median(pace.leaves))
        per_row = max((median(p.rounds) / rows for (_, rows), p in self._paces.items()), default=0.0)
        return max(FIRST_SECONDS, TIMES * per_row * (this.stop - this.start))


def _shape(this: Round) -> _Shape:
    return this.kind, this.stop - this.start
