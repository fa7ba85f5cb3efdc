"""Scheduled faults: a seed chooses which process is killed at which step, and the weights are the same."""

import contextlib
import os
import random
import re
import signal
from pathlib import Path

import numpy as np
import pytest

from raydient.server.training.checkpoints import Checkpoints
from raydient.server.training.preparation import prepare
from raydient.server.training.reports import EpochEnded, Notice, Outcome, Progress, Started
from raydient.spec.validation import validate_job
from raydient.wire.control import Role

from .conftest import execute
from .serving import becomes_readable


class Saboteur:
    """Kills processes at scheduled steps, as the coordinator's reports tell of them."""

    def __init__(self, cluster, schedule):
        """`schedule`: (step, role, number among the living) in order."""
        self._cluster, self._waiting = cluster, list(schedule)
        self.reports = []

    def __call__(self, report):
        self.reports.append(report)
        if isinstance(report, Progress) and self._waiting and report.step >= self._waiting[0][0]:
            _, role, number = self._waiting.pop(0)
            self._cluster.kill(role, number)

    @property
    def done(self):
        return not self._waiting

    def lost(self, reason):
        return sum(isinstance(r, Notice) and r.reason == reason for r in self.reports)


@pytest.fixture(scope="module")
def known():
    """Digest and curve of an undisturbed job, by what was trained."""
    return {}


@pytest.fixture
def expected(known, local, tmp_path):
    def run(prepared):
        key = str(prepared.spec.training)
        if key not in known:
            reports = []
            finished = execute(prepared, local, tmp_path / "undisturbed", reports.append)
            known[key] = finished.digest, curve(reports)
        return known[key]

    return run


def curve(reports):
    """Return the metrics by epoch; of an epoch that was computed again, the last ones."""
    return {r.epoch: r.metrics for r in reports if isinstance(r, EpochEnded)}


LONG = {"epochs": 150}
"""900 steps: long enough for several faults, short enough for a test."""


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_workers_are_replaced_without_rollback(job, local, expected, tmp_path, seed):
    prepared = job(3, **LONG)
    chance = random.Random(seed)
    steps = sorted(chance.sample(range(1, 500), 2))
    saboteur = Saboteur(local, [(step, Role.WORKER, chance.randrange(3)) for step in steps])
    finished = execute(prepared, local, tmp_path / "faulty", saboteur)
    assert saboteur.done
    assert saboteur.lost("WORKER_LOST") == 2
    assert (finished.digest, curve(saboteur.reports)) == expected(prepared)
    progress = [r.step for r in saboteur.reports if isinstance(r, Progress)]
    assert progress == sorted(progress), "no step was computed twice"


@pytest.mark.parametrize("seed", [3, 4])
def test_a_killed_parameter_server_rolls_back_to_the_checkpoint(job, local, expected, tmp_path, seed):
    prepared = job(2, checkpoint_seconds=0.0, **LONG)
    step = random.Random(seed).randrange(100, 500)
    saboteur = Saboteur(local, [(step, Role.PARAMETER_SERVER, 0)])
    finished = execute(prepared, local, tmp_path / "faulty", saboteur)
    assert saboteur.done
    assert saboteur.lost("PARAMETER_SERVER_LOST") == 1
    starts = [r.step for r in saboteur.reports if isinstance(r, Started)]
    assert len(starts) == 2
    assert starts[1] > 0, "it went on from a checkpoint"
    assert (finished.digest, curve(saboteur.reports)) == expected(prepared)


def test_a_killed_fork_server_costs_every_process_and_no_bit(job, local, expected, tmp_path):
    prepared = job(2, checkpoint_seconds=0.0, **LONG)
    reports, killed = [], []

    def kill_at_200(report):
        reports.append(report)
        if isinstance(report, Progress) and report.step >= 200 and not killed:
            _, member = local.processes[-1]
            status = Path(f"/proc/{member.pid}/status").read_text()
            killed.append(int(re.search(r"PPid:\s*(\d+)", status)[1]))
            os.kill(killed[0], signal.SIGKILL)

    finished = execute(prepared, local, tmp_path / "faulty", kill_at_200)
    assert len(local.processes) == 6, "each of three was started again"
    assert (finished.digest, curve(reports)) == expected(prepared)


def test_without_a_checkpoint_it_begins_again(job, local, expected, tmp_path):
    prepared = job(2, **LONG)
    saboteur = Saboteur(local, [(50, Role.PARAMETER_SERVER, 0)])
    finished = execute(prepared, local, tmp_path / "faulty", saboteur)
    assert saboteur.lost("PARAMETER_SERVER_LOST") == 1
    assert (finished.digest, curve(saboteur.reports)) == expected(prepared)


def test_a_run_goes_on_from_what_an_earlier_one_left(job, local, expected, tmp_path):
    prepared = job(2, checkpoint_seconds=0.0, **LONG)
    directory = tmp_path / "interrupted"

    class Stop(Exception):
        pass

    past, reports = [], []

    def stop_at_200(report):
        past.append(report)
        if isinstance(report, Progress) and report.step >= 200:
            raise Stop

    with pytest.raises(Stop):
        execute(prepared, local, directory, stop_at_200)
    finished = execute(job(4, **LONG), local, directory, reports.append)
    assert [r.reason for r in reports if isinstance(r, Notice)][:1] == ["RESUMED"]
    assert (finished.digest, curve(past + reports)) == expected(prepared), "each epoch is reported by one of the runs"


def test_a_rate_that_diverges_fails_the_job_and_keeps_the_checkpoint(job, local, tmp_path):
    # A linear layer and squared errors: above a certain rate each step enlarges the weights until they overflow.
    network = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
    sgd = {"sgd": {"learning_rate": 3.0}}
    prepared = job(2, epochs=200, checkpoint_seconds=0.0, network=network, optimizer=sgd)
    reports = []
    finished = execute(prepared, local, tmp_path, reports.append)
    assert (finished.outcome, finished.reason, finished.digest) == (Outcome.FAILED, "NON_FINITE", "")
    step = rf"at step {finished.step}; .* is that of layer dense_1 \(|on the held-out part after {finished.step} steps"
    assert re.match(rf"loss (inf|nan) ({step})", finished.message)
    assert not (tmp_path / "model.safetensors").exists()
    kept, damage = Checkpoints(
        tmp_path / "checkpoints", job="test", layout=prepared.network.layout, state={}, schedule=prepared.schedule
    ).load_latest()
    assert (damage, kept is not None) == ([], True)
    assert f"the checkpoint of step {kept.manifest.step} is kept" in finished.message
    assert np.isfinite(kept.arrays["weights"]).all()
    assert kept.manifest.step < finished.step


def test_weights_that_overflow_in_the_last_update_fail_the_job(local, tmp_path):
    path = tmp_path / "large.npz"
    np.savez(path, x=np.full((8, 2), 1e10, np.float32), y=np.ones(8, np.float32))
    spec = {
        "dataset": {"uri": path.name, "split": {"test": 0.0}},
        "network": {
            "layers": [{"dense": {"units": 1, "kernel_initializer": "zeros"}}],
            "loss": "mean_squared_error",
        },
        "training": {"batch_size": 8, "optimizer": {"sgd": {"learning_rate": 1e30}}},
    }
    finished = execute(prepare(validate_job(spec), path), local, tmp_path / "run")
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "NON_FINITE")
    assert finished.message == "dense_1.kernel is not finite after step 1"
    assert not (tmp_path / "run" / "model.safetensors").exists()


class Dozing:
    """A process whose polls take long, so that much may happen meanwhile."""

    def __init__(self, process):
        self._process = process

    def __getattr__(self, name):
        return getattr(self._process, name)

    def ended(self):
        with contextlib.suppress(ProcessLookupError), os.fdopen(os.pidfd_open(self._process.pid), "rb") as descriptor:
            becomes_readable(descriptor, 0.2)
        return self._process.ended()


def test_a_worker_that_has_no_more_to_do_is_not_lost(job, local, tmp_path, monkeypatch):
    # The last snapshot is sent before the order to end; a poll may see the end of the worker before the snapshot.
    start = local.start

    def start_one(role, *arguments, **more):
        process = start(role, *arguments, **more)
        return Dozing(process) if role is Role.WORKER else process

    monkeypatch.setattr(local, "start", start_one)
    reports = []
    finished = execute(job(2), local, tmp_path, reports.append)
    assert finished.outcome is Outcome.SUCCEEDED
    assert [report for report in reports if isinstance(report, Notice)] == []
