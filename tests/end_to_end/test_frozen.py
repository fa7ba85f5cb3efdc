"""Processes that are stopped (SIGSTOP): they are noticed and replaced, and the weights come out the same."""

import signal

import pytest

from raydient.server.training.reports import Notice, Outcome, Progress
from raydient.wire.control import Role

from .conftest import execute

LONG = {"epochs": 150}
"""900 steps: some seconds."""


class Freezer:
    """Stops a process of a role once a step is done."""

    def __init__(self, cluster, role, step):
        self._cluster, self._role, self._step = cluster, role, step
        self.reports = []

    def __call__(self, report):
        self.reports.append(report)
        if isinstance(report, Progress) and self._step is not None and report.step >= self._step:
            self._step = None
            self._cluster.kill(self._role, 0, signal.SIGSTOP)

    def lost(self, reason):
        return [r.message for r in self.reports if isinstance(r, Notice) and r.reason == reason]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_frozen_worker_is_replaced_without_rollback(job, local, undisturbed, tmp_path, workers):
    prepared = job(workers, **LONG)
    freezer = Freezer(local, Role.WORKER, 100)
    finished = execute(prepared, local, tmp_path, freezer)
    (lost,) = freezer.lost("WORKER_LOST")
    assert "silent for" in lost
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(prepared))
    progress = [r.step for r in freezer.reports if isinstance(r, Progress)]
    assert progress == sorted(progress), "no step was computed twice"
