"""A job that ends early and keeps its best epoch has the model of a naive loop, whatever happens to its processes."""

import numpy as np
import pytest

from raydient.server.training.reports import EpochEnded, Notice, Outcome, Progress, Started
from raydient.wire import control
from raydient.wire.control import Role
from raydient.workers.network import Program, load_model

from .conftest import execute
from .naive import naive

NETWORK = {
    "layers": [{"dense": {"units": 400, "activation": "tanh"}}, {"dense": {"units": 3}}],
    "loss": "softmax_cross_entropy",
}
"""Large enough for two parameter servers."""
TRAINING = {
    "epochs": 60,
    "optimizer": {"adam": {"learning_rate": 0.001}},
    "early_stopping": {"patience": 4},
    "keep": {"best": {"monitor": "accuracy"}},
}


@pytest.fixture(scope="module")
def twin():
    """Return a function that returns the number of epochs and the best weights by a naive loop."""
    known = []

    def compute(prepared):
        network, test = prepared.network, prepared.dataset.test
        program = Program(network, len(next(iter(test.xs.values()))), weighted=False)
        for arrays, values in ((program.xs, test.xs), (program.ys, test.ys)):
            for name, array in arrays.items():
                array[:] = values[name]
        losses, accuracies, kept = [], [], []

        def ends(epoch, weights):
            loss, correct = program.forward(network.bind(weights))
            losses.append(loss)
            accuracies.append(correct)
            if correct > max(accuracies[:-1], default=-1):
                kept[:] = [epoch, network.layout.digest(weights)]
            return epoch - 1 - int(np.argmin(losses)) >= TRAINING["early_stopping"]["patience"]

        naive(prepared, ends=ends)
        return len(losses), *kept

    def look_up(prepared):
        if not known:
            known.append(compute(prepared))
        return known[0]

    return look_up


def assert_like(twin, prepared, finished, reports, directory):
    epochs, best, digest = twin(prepared)
    assert 6 < epochs < TRAINING["epochs"]
    assert best < epochs
    assert (finished.outcome, finished.reason) == (Outcome.SUCCEEDED, "STOPPED_EARLY")
    assert (finished.digest, finished.epoch) == (digest, best)
    assert max(report.epoch for report in reports if isinstance(report, EpochEnded)) == epochs
    assert finished.step == epochs * prepared.schedule.steps_per_epoch
    assert [r.reason for r in reports if isinstance(r, Notice)][-1] == "BEST_EPOCH"
    model = load_model(directory / "model.safetensors")
    assert model.digest == digest
    (metrics,) = {r.epoch: r.metrics for r in reports if isinstance(r, EpochEnded) and r.epoch == best}.values()
    assert (model.training["epoch"], model.training["metrics"]) == (best, metrics)
    assert model.training["specification"] == prepared.spec.canonical()


@pytest.mark.parametrize(("workers", "servers", "transport"), [(1, 1, "auto"), (3, 2, "tcp")])
def test_workers_servers_and_transport_do_not_matter(job, local, twin, tmp_path, workers, servers, transport):
    prepared = job(workers, servers=servers, network=NETWORK, **TRAINING)
    reports = []
    finished = execute(prepared, local, tmp_path, reports.append, transport=transport)
    assert_like(twin, prepared, finished, reports, tmp_path)


def test_a_killed_parameter_server_and_a_pause_do_not_matter(job, local, twin, tmp_path):
    prepared = job(2, checkpoint_seconds=0.0, network=NETWORK, **TRAINING)
    reports, orders, starts, killed = [], [], [], []

    def disturb(report):
        reports.append(report)
        if isinstance(report, Progress) and report.step >= 10 and not killed:
            killed.append(report)
            local.kill(Role.PARAMETER_SERVER, 0)
        if isinstance(report, Started):
            starts.append(report)
        if isinstance(report, Started) and len(starts) == 2:
            orders.append(control.Command(control.Order.PAUSE))

    assert execute(prepared, local, tmp_path, disturb, orders=orders).outcome is Outcome.PAUSED
    assert "PARAMETER_SERVER_LOST" in [r.reason for r in reports if isinstance(r, Notice)]
    finished = execute(prepared, local, tmp_path, reports.append)
    assert_like(twin, prepared, finished, reports, tmp_path)


def test_a_training_that_was_over_when_its_coordinator_died_is_over_when_it_goes_on(job, local, twin, tmp_path):
    prepared = job(1, network=NETWORK, **TRAINING)
    first = execute(prepared, local, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    reports = []
    finished = execute(prepared, local, tmp_path, reports.append)
    assert (finished.digest, finished.step) == (first.digest, first.step)
    assert not [report for report in reports if isinstance(report, EpochEnded)]
    assert load_model(tmp_path / "model.safetensors").digest == first.digest


def test_training_ends_by_time_and_by_steps(job, local, tmp_path):
    prepared = job(1, network=NETWORK, epochs=100_000, max_minutes=0.5 / 60)
    reports = []
    finished = execute(prepared, local, tmp_path / "time", reports.append)
    assert (finished.outcome, finished.reason) == (Outcome.SUCCEEDED, "MAX_MINUTES")
    assert 0 < finished.step < prepared.schedule.steps
    same = job(2, network=NETWORK, epochs=100_000, max_steps=finished.step)
    by_steps = execute(same, local, tmp_path / "steps")
    assert (by_steps.reason, by_steps.step) == ("MAX_STEPS", finished.step)
    assert by_steps.digest == finished.digest, "bits depend on the step alone"
