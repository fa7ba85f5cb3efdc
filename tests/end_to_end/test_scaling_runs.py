"""Workers join and leave a running job: the others go on, and the weights are the same."""

import random
from itertools import pairwise

import pytest

from raydient.server.training.reports import Notice, Outcome, Progress, Started
from raydient.wire import control
from raydient.wire.control import Role

from .conftest import execute

LONG = {"epochs": 250}
"""1,500 steps: workers take a fraction of a second to join."""


class Scaler:
    """Gives orders at scheduled steps, as the coordinator reports them."""

    def __init__(self, cluster, schedule):
        """`schedule`: (step, workers) in order."""
        self._cluster, self._waiting = cluster, list(schedule)
        self._ordered = None
        self.orders, self.reports, self.alive = [], [], []

    def __call__(self, report):
        self.reports.append(report)
        if isinstance(report, Progress):
            self.alive.append((report.workers_wanted, report.workers_alive))
            # A report that is older than the last order says that the number before it is complete.
            settled = self._ordered in (None, report.workers_wanted) and report.workers_alive == report.workers_wanted
            if self._waiting and report.step >= self._waiting[0][0] and settled:
                _, self._ordered = self._waiting.pop(0)
                self.orders.append(control.Scale(self._ordered, 1))

    @property
    def done(self):
        return not self._waiting


@pytest.mark.parametrize("seed", [5, 6])
def test_scaling_up_and_down_changes_no_bit_and_disturbs_no_other_worker(job, local, tmp_path, seed):
    expected = execute(job(1, **LONG), local, tmp_path / "one").digest
    local.processes.clear()
    chance = random.Random(seed)
    # The last number is the least, because training may end before a worker of the last order has joined.
    numbers = [3, *(chance.choice([1, 2, 4]) for _ in range(2)), 1]
    steps = sorted(chance.sample(range(1, 600), len(numbers)))
    scaler = Scaler(local, list(zip(steps, numbers, strict=True)))
    finished = execute(job(2, **LONG), local, tmp_path / "scaled", scaler, orders=scaler.orders)
    assert scaler.done
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, expected)
    started = [role for role, _ in local.processes]
    more = sum(max(0, after - before) for before, after in pairwise([2, *numbers]))
    assert started.count(Role.WORKER) == 2 + more, "no worker was started again"
    assert started.count(Role.PARAMETER_SERVER) == 1
    reasons = [r.reason for r in scaler.reports if isinstance(r, Notice)]
    assert reasons.count("WORKER_JOINED") == more
    assert reasons.count("WORKER_LEFT") == sum(max(0, b - a) for b, a in pairwise([2, *numbers]))
    assert "WORKER_LOST" not in reasons
    assert {wanted for wanted, _ in scaler.alive} == {2, *numbers}
    progress = [r.step for r in scaler.reports if isinstance(r, Progress)]
    assert progress == sorted(progress), "no step was computed twice"
    assert sum(isinstance(r, Started) for r in scaler.reports) == 1
