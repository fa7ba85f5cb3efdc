"""The plans of a run. Their shares follow the measured speed of the workers. No I/O; the clock is an argument."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from raydient.wire.control import Computed, Plan

from .shares import GAIN, Division, division, slowest_seconds, with_leaves

INTERVAL_SECONDS = 0.2
"""Shortest time over which a pace is averaged: two periods of a CPU quota, which stops a process in bursts."""
INTERVALS = 5
"""The pace of a worker is the median of this number of recent intervals."""
FEWEST_INTERVALS = 3
"""No pace is known before this number of intervals."""
PATIENCE = 3
"""Measurements in a row that have to show the same gain before shares change."""
IDLE_SECONDS = 60.0
"""Time after which the pace of a worker without leaves is forgotten, so that it gets leaves and is measured again."""
IDLE_STEPS = 500
"""The same in steps; both have to pass, so that measuring a slow worker again costs little."""


class Plans:
    """Numbers the plans from 1 and divides the leaves of a step. One thread calls it.

    Shares change only if the slowest worker's part of a step becomes shorter by GAIN in each of PATIENCE measurements
    in a row, and then not before new measurements. So noise changes nothing, and equal speeds mean equal shares.
    """

    def __init__(self, leaves: int, clock: Callable[[], float]) -> None:
        """`leaves` is the number of leaves of a whole step."""
        self._leaves, self._clock = leaves, clock
        self._number = 0
        self._division: Division = {}  # of the last plan
        self._used: Mapping[int, float] = {}  # the paces that shares follow; empty: equal shares
        self._totals: Mapping[int, Computed] = {}  # at the beginning of the interval
        self._since = self._idle_since = clock()
        self._idle_step = 0
        self._recent: dict[int, deque[float]] = {}
        self._idle: dict[int, float] = {}  # paces of workers from before they lost their last leaf
        self._gains = 0  # measurements in a row that show a gain

    @property
    def following(self) -> int:
        """Number of the next plan."""
        return self._number + 1

    def make(self, workers: Sequence[int]) -> Plan:
        """Return a new plan for these workers."""
        self._number += 1
        self._division = division(self._leaves, workers, self._used)
        return Plan(self._number, list(self._division), list(self._division.values()))

    def restart(self) -> None:
        """Forget all measurements: workers and the counts of the parameter server begin anew."""
        self._used, self._totals, self._idle = {}, {}, {}
        self._forget_recent()

    def measured(self, step: int, totals: Mapping[int, Computed], workers: Sequence[int]) -> bool:
        """Take the parameter server's counts after `step` updates; return True if a new plan is due.

        Args:
            step: number of updates applied.
            totals: the work of each worker since the parameter server began.
            workers: the workers that a plan may name.
        """
        now = self._clock()
        if now - self._since < INTERVAL_SECONDS or not self._add_interval(totals, now):
            return False
        present = {worker: share for worker, share in self._division.items() if worker in workers}
        paces = self._paces(step, now, present)
        if not paces or not paces.keys() >= with_leaves(self._leaves, present):
            return False
        best = slowest_seconds(self._leaves, division(self._leaves, workers, paces), paces)
        if best > (1 - GAIN) * slowest_seconds(self._leaves, present, paces):
            self._gains = 0
            return False
        self._gains += 1
        if self._gains < PATIENCE:
            return False
        self._change(step, now, paces, workers)
        return True

    def _add_interval(self, totals: Mapping[int, Computed], now: float) -> bool:
        """Add the paces since the last interval; return False if no worker has completed a leaf in it."""
        added = False
        for worker, total in totals.items():
            before = self._totals.get(worker, Computed(0, 0.0))
            if total.leaves > before.leaves:
                pace = (total.seconds - before.seconds) / (total.leaves - before.leaves)
                self._recent.setdefault(worker, deque(maxlen=INTERVALS)).append(pace)
                added = True
        if added:
            self._totals, self._since = totals, now
        return added

    def _paces(self, step: int, now: float, workers: Division) -> dict[int, float]:
        """Return the known paces of these workers; those of idle workers are from before they lost their leaves."""
        if now - self._idle_since >= IDLE_SECONDS and step - self._idle_step >= IDLE_STEPS:
            self._idle = {}
        recent = {w: median(values) for w, values in self._recent.items() if len(values) >= FEWEST_INTERVALS}
        return {worker: pace for worker, pace in (self._idle | recent).items() if worker in workers and pace > 0}

    def _change(self, step: int, now: float, paces: Mapping[int, float], workers: Sequence[int]) -> None:
        """Use these paces from the next plan on, and measure anew."""
        self._used = paces
        shares = division(self._leaves, workers, paces)
        busy = with_leaves(self._leaves, shares)
        self._idle = {worker: pace for worker, pace in paces.items() if worker not in busy}
        self._idle_since, self._idle_step = now, step
        self._forget_recent()

    def _forget_recent(self) -> None:
        self._recent, self._gains, self._since = {}, 0, self._clock()
