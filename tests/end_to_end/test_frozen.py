"""Stopped processes (SIGSTOP) are noticed and replaced, and the weights are the same."""

import signal

import pytest

from raydient.server.training.reports import Notice, Outcome, Progress
from raydient.wire import control
from raydient.wire.control import Role

from .conftest import execute

LONG = {"epochs": 150}
"""900 steps: some seconds."""


class Freezer:
    """Stops a process of a role after a step, and gives an order then."""

    def __init__(self, cluster, role, step, order=None):
        self._cluster, self._role, self._step, self._order = cluster, role, step, order
        self.reports, self.orders = [], []

    def __call__(self, report):
        self.reports.append(report)
        if isinstance(report, Progress) and self._step is not None and report.step >= self._step:
            self._step = None
            self._cluster.kill(self._role, 0, signal.SIGSTOP)
            if self._order is not None:
                self.orders.append(self._order)

    def lost(self, reason):
        return [r.message for r in self.reports if isinstance(r, Notice) and r.reason == reason]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_frozen_worker_is_replaced_without_rollback(job, local, undisturbed, tmp_path, workers):
    prepared = job(workers, **LONG)
    freezer = Freezer(local, Role.WORKER, 100)
    finished = execute(prepared, local, tmp_path, freezer)
    (lost,) = freezer.lost("WORKER_LOST")
    assert "silent for" in lost or "no answer" in lost
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(prepared))
    progress = [r.step for r in freezer.reports if isinstance(r, Progress)]
    assert progress == sorted(progress), "no step was computed twice"


def test_a_frozen_parameter_server_is_replaced_as_one_that_died(job, local, undisturbed, tmp_path):
    prepared = job(2, checkpoint_seconds=0.0, **LONG)
    freezer = Freezer(local, Role.PARAMETER_SERVER, 100)
    finished = execute(prepared, local, tmp_path, freezer)
    (lost,) = freezer.lost("PARAMETER_SERVER_LOST")
    assert "no answer for" in lost
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, undisturbed(prepared))


@pytest.mark.parametrize("role", [Role.WORKER, Role.PARAMETER_SERVER])
@pytest.mark.parametrize(
    ("order", "outcome"),
    [
        (control.Command(control.Order.PAUSE), Outcome.PAUSED),
        (control.Command(control.Order.CANCEL), Outcome.CANCELLED),
        (control.Scale(1, 1), Outcome.SUCCEEDED),
    ],
    ids=["pause", "cancel", "scale"],
)
def test_orders_are_obeyed_with_a_frozen_member(job, local, undisturbed, tmp_path, role, order, outcome):
    prepared = job(2, checkpoint_seconds=0.0, **LONG)
    freezer = Freezer(local, role, 100, order)
    finished = execute(prepared, local, tmp_path, freezer, orders=freezer.orders)
    assert finished.outcome is outcome
    if outcome is Outcome.PAUSED:
        finished = execute(prepared, local, tmp_path)
    if outcome is not Outcome.CANCELLED:
        assert finished.digest == undisturbed(prepared)
    if outcome is Outcome.SUCCEEDED:
        assert next(r for r in reversed(freezer.reports) if isinstance(r, Progress)).workers_wanted == 1
