"""Deadlines of workers that owe leaves of the open round. No I/O; times are arguments."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median

from raydient.spec.consistency import Consistency
from raydient.steps.schedule import Round, RoundKind

LOOK_SECONDS = 1.0
"""Interval between calls of `overdue`."""
LEAST_SECONDS = 5.0
"""The shortest deadline, for fast rounds."""
TIMES = 10
"""The deadline as a multiple of the median of recent rounds."""
RECENT = 32
"""Number of rounds of one shape in the median."""
FIRST_SECONDS = 1800.0
"""The shortest deadline of a worker's first round of a shape, in which it allocates and touches its memory. A frozen
process is detected sooner, by its pings.
"""

_Shape = tuple[RoundKind, int]


@dataclass(slots=True)
class _Pace:
    """Recent rounds of one shape: their seconds, and their seconds per leaf of the largest share."""

    rounds: deque[float]
    leaves: deque[float]


class Deadlines:
    """Detects overdue workers. Not thread-safe; all times are in seconds of one monotonic clock.

    The deadline is 10 times the median of recent rounds of the same shape, and at least 5 s: if all workers become
    slower, so does the median. It counts from the worker's last push or assignment. Pauses of the caller itself (a
    suspended machine, a long update) do not count.
    """

    def __init__(self) -> None:
        self._round: Round | None = None
        self._began = self._looked = 0.0
        self._largest = 0  # leaves of the largest share of the round
        self._active: dict[int, float] = {}  # time of the last push or assignment, by worker
        self._pushed: set[int] = set()  # workers that have pushed in this round
        self._known: dict[_Shape, set[int]] = {}  # workers that have completed a round of a shape
        self._paces: dict[_Shape, _Pace] = {}

    def assigned(self, worker: int, opened: Round, leaves: int, now: float) -> None:
        """Note that `leaves` leaves of a round were assigned to a worker."""
        if self._round is not opened:
            self._round, self._began, self._largest = opened, now, 0
            self._pushed.clear()
        self._largest = max(self._largest, leaves)
        self._active[worker] = now

    def pushed(self, worker: int, now: float) -> None:
        """Note that a push of a worker was accepted."""
        self._active[worker] = now
        self._pushed.add(worker)

    def interrupted(self, workers: Collection[int]) -> None:
        """Give workers the deadline of a first round, because they do something else before they compute."""
        for known in self._known.values():
            known.difference_update(workers)

    def completed(self, now: float) -> None:
        """Note that the round is complete."""
        if self._round is None:
            return
        shape = _shape(self._round)
        pace = self._paces.setdefault(shape, _Pace(deque(maxlen=RECENT), deque(maxlen=RECENT)))
        pace.rounds.append(now - self._began)
        pace.leaves.append((now - self._began) / self._largest)
        self._known.setdefault(shape, set()).update(self._pushed)

    def overdue(self, owing: Mapping[int, int], now: float) -> dict[int, float]:
        """Return the workers past their deadline, each with the seconds since its last push or assignment.

        `owing` is the number of leaves of the open round that are assigned and not pushed, by worker.
        """
        stood_still = max(0.0, now - self._looked - 2 * LOOK_SECONDS)
        self._looked = now
        if self._round is None:
            return {}
        self._active = {w: min(now, since + stood_still) for w, since in self._active.items() if w in owing}
        silent = {w: now - self._active.setdefault(w, now) for w in owing}
        return {w: seconds for w, seconds in silent.items() if seconds > self._limit(w, owing[w], self._round)}

    def _limit(self, worker: int, leaves: int, opened: Round) -> float:
        shape = _shape(opened)
        pace = self._paces.get(shape)
        if pace is not None and worker in self._known[shape]:
            # Per leaf as well, because after scaling down a share may be many times larger than in recent rounds.
            return max(LEAST_SECONDS, TIMES * median(pace.rounds), TIMES * leaves * median(pace.leaves))
        per_row = max((median(p.rounds) / rows for (_, rows), p in self._paces.items()), default=0.0)
        return max(FIRST_SECONDS, TIMES * per_row * (opened.stop - opened.start))


@dataclass(slots=True)
class _Task:
    """The leaves that a worker was assigned last."""

    shape: _Shape
    leaves: int
    began: float
    ended: float


class OwnDeadlines(Deadlines):
    """Detects overdue workers that do not wait for each other: by the time for which workers had their assignments.

    The deadline is 10 times the median seconds per leaf of recent assignments, times the leaves that the worker owes,
    and at least 5 s.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[int, _Task] = {}
        self._seconds: dict[_Shape, deque[float]] = {}  # per leaf

    def assigned(self, worker: int, opened: Round, leaves: int, now: float) -> None:
        task = self._tasks.get(worker)
        if task is not None and task.ended > task.began:
            recent = self._seconds.setdefault(task.shape, deque(maxlen=RECENT))
            recent.append((task.ended - task.began) / task.leaves)
            self._known.setdefault(task.shape, set()).add(worker)
        self._tasks[worker] = _Task(_shape(opened), leaves, now, now)
        super().assigned(worker, opened, leaves, now)

    def pushed(self, worker: int, now: float) -> None:
        super().pushed(worker, now)
        if worker in self._tasks:
            self._tasks[worker].ended = now

    def completed(self, now: float) -> None:
        """Do nothing: rounds are not compared."""

    def _limit(self, worker: int, leaves: int, opened: Round) -> float:
        task = self._tasks.get(worker)
        if task is not None and worker in self._known.get(task.shape, ()):
            return max(LEAST_SECONDS, TIMES * leaves * median(self._seconds[task.shape]))
        return FIRST_SECONDS


def deadlines_of(consistency: Consistency, known: Deadlines | None = None) -> Deadlines:
    """Return the deadlines of a job: those `known` before an amendment, with the paces of workers, if they serve."""
    made = OwnDeadlines() if consistency.is_stale else Deadlines()
    return known if known is not None and type(known) is type(made) else made


def _shape(opened: Round) -> _Shape:
    return opened.kind, opened.stop - opened.start
