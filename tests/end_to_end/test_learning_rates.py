"""The learning rate of each step depends on the step alone: not on kills, pauses and the number of processes."""

import pytest

from raydient.server.parameters.schedules import build_rate
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Notice, Outcome, Progress
from raydient.wire.control import Command, Order, Role

from .conftest import execute

EPOCHS = 30
RISE = {"epochs": 5, "initial_learning_rate": 0.0001}


def rates(prepared):
    """Return the rate of the last update of each epoch."""
    training, rounds = prepared.spec.training, prepared.schedule
    rate = build_rate(training.optimizer.value.learning_rate, training.schedule, training.warm_up, rounds)
    return [rate(rounds.steps_per_epoch * epoch - 1) for epoch in range(1, training.epochs + 1)]


class Disturbance:
    """Kills the parameter server once a checkpoint is there, and pauses the job later."""

    def __init__(self, cluster):
        self._cluster, self._saved, self._killed = cluster, 0, False
        self.reports, self.orders = [], []

    def __call__(self, report):
        self.reports.append(report)
        if isinstance(report, CheckpointTaken):
            self._saved = report.step
        if isinstance(report, Progress) and self._saved and report.step > 20 and not self._killed:
            self._killed = True
            self._cluster.kill(Role.PARAMETER_SERVER, 0)
        if isinstance(report, Progress) and report.step > 80 and not self.orders:
            self.orders.append(Command(Order.PAUSE))


def test_a_kill_and_a_pause_change_neither_weights_nor_rates(job, local, expected, tmp_path):
    settings = {"epochs": EPOCHS, "warm_up": RISE, "schedule": {"cosine": {"alpha": 0.01}}}
    prepared, disturbance = job(2, checkpoint_seconds=0.02, **settings), Disturbance(local)
    paused = execute(prepared, local, tmp_path, disturbance, orders=disturbance.orders)
    assert paused.outcome is Outcome.PAUSED
    assert paused.step < prepared.schedule.steps
    finished = execute(job(3, **settings), local, tmp_path, disturbance.reports.append)
    assert finished.digest == expected(prepared)
    ended = {r.epoch: r.metrics for r in disturbance.reports if isinstance(r, EpochEnded)}
    assert [ended[epoch]["train"]["learning_rate"] for epoch in sorted(ended)] == rates(prepared)
    last = [r for r in disturbance.reports if isinstance(r, Progress)][-1]
    assert last.measurements.learning_rate == pytest.approx(0.01 * 0.001, rel=0.1)


PLATEAU = {"patience": 2, "factor": 0.5, "min_delta": 0.001, "cooldown": 1}
LARGE = {
    "layers": [{"dense": {"units": 400, "activation": "tanh"}}, {"dense": {"units": 3}}],
    "loss": "softmax_cross_entropy",
}
"""Large enough for two parameter servers."""


def reduced(losses, base):
    """Return the rate of each epoch by the losses of the held-out part, as `ReduceLROnPlateau` of Keras 3 does."""
    rate, best, wait, cooldown, seen = base, float("inf"), 0, 0, []
    for loss in losses:
        seen.append(rate)
        if cooldown > 0:
            cooldown, wait = cooldown - 1, 0
        if loss < best - PLATEAU["min_delta"]:
            best, wait = loss, 0
        elif cooldown == 0:
            wait += 1
            if wait >= PLATEAU["patience"]:
                rate, wait, cooldown = rate * PLATEAU["factor"], 0, PLATEAU["cooldown"]
    return seen


def test_a_plateau_lies_in_the_checkpoint_and_in_every_server(job, local, expected, tmp_path):
    """The weights are those of a job whose rates are written down."""
    optimizer = {"adam": {"learning_rate": 0.02}}
    settings = {"epochs": EPOCHS, "optimizer": optimizer, "network": LARGE}
    plateau = {**settings, "schedule": {"plateau": PLATEAU}}
    prepared, disturbance = job(2, checkpoint_seconds=0.02, servers=2, **plateau), Disturbance(local)
    paused = execute(prepared, local, tmp_path, disturbance, orders=disturbance.orders, transport="tcp")
    assert paused.outcome is Outcome.PAUSED
    finished = execute(job(3, **plateau), local, tmp_path, disturbance.reports.append)
    ended = {r.epoch: r.metrics for r in disturbance.reports if isinstance(r, EpochEnded)}
    seen = [ended[epoch]["train"]["learning_rate"] for epoch in sorted(ended)]
    assert seen == reduced([ended[epoch]["test"]["loss"] for epoch in sorted(ended)], 0.02)
    changes = [epoch for epoch in range(1, EPOCHS) if seen[epoch] != seen[epoch - 1]]
    assert len(changes) > 2
    notices = [r for r in disturbance.reports if isinstance(r, Notice) and r.reason == "LEARNING_RATE_REDUCED"]
    assert [int(notice.message.split()[2]) for notice in notices][: len(changes)] == changes
    step = {"boundary_epochs": changes, "values": [seen[epoch] for epoch in changes]}
    assert finished.digest == expected(job(1, **settings, schedule={"step": step}))
