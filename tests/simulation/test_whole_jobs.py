"""Coordinator, parameter server and workers of a job in one simulated world: the bits are those of the naive loop."""

from contextlib import closing

import numpy as np
import pytest

from raydient.server.parameters.shell import ParameterServerShell
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.members import Members
from raydient.server.training.preparation import prepare
from raydient.server.training.reports import EpochEnded, Finished, Notice, Outcome
from raydient.server.training.shell import CoordinatorShell
from raydient.server.training.storage import Storage
from raydient.spec.validation import validate_job
from raydient.wire import control
from raydient.wire.control import Role
from raydient.wire.launch import from_json
from raydient.workers.worker import work
from tests.end_to_end.naive import naive

from .world import World


class Cluster:
    """Starts members as processes of a world; satisfies `clusters.cluster.Cluster`."""

    host = node = ""

    def __init__(self, world):
        self._world = world
        self.started = []

    def reserve(self, job, workers, placement):
        pass

    def release(self):
        pass

    def start(self, role, launch, log):
        settings = from_json(launch)
        if role is Role.PARAMETER_SERVER:
            process = self._world.start(log.stem, lambda network: ParameterServerShell(settings, network, "").run())
        else:
            process = self._world.start(log.stem, lambda network: work(settings, network, ""))
        self.started.append((role, process))
        return process

    def kill(self, role, number):
        """Kill the `number`-th process of a role, without notice to the coordinator."""
        [process for r, process in self.started if r is role][number].kill()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A job of 24 rounds: three classes, 350 rows of 5 values, dropout."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, 350)
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, x=(rng.normal(size=(350, 5)) + 2 * np.eye(3, 5)[labels]).astype(np.float32), y=labels)
    spec = {
        "dataset": {"uri": path.name, "standardize": True, "split": {"test": 0.1}},
        "network": {
            "layers": [
                {"dense": {"units": 8, "activation": "tanh"}},
                {"dropout": {"rate": 0.2}},
                {"dense": {"units": 3}},
            ],
            "loss": "softmax_cross_entropy",
        },
        "training": {"epochs": 6, "batch_size": 100, "microbatches": 7, "optimizer": "adam", "seed": 11},
        "checkpoints": {"interval_seconds": 0.02},
        "resources": {"workers": {"min": 1, "max": 3}},
    }
    return prepare(validate_job(spec), path)


@pytest.fixture(scope="module")
def expected(prepared):
    return naive(prepared)


def simulate(prepared, directory, seed, *faults):
    """Run a job in a world of this seed; each fault is a role, a number and a time in seconds. Return its reports."""
    world, reports = World(seed), []
    cluster = Cluster(world)
    for role, number, seconds in faults:
        world.at(seconds, lambda role=role, number=number: cluster.kill(role, number))

    def coordinate(network):
        with closing(History(directory / HISTORY_FILE)) as history:
            members = Members(
                cluster,
                network,
                network.listen(""),
                job="test",
                secret=b"s" * 32,
                logs=directory / "logs",
            )
            storage = Storage(prepared, directory, "test", history)
            size = control.Scale(3, 1)
            CoordinatorShell(prepared, size, members, storage, tell=reports.append).run()

    world.run("coordinator", coordinate)
    return reports


@pytest.mark.parametrize("seed", range(3))
def test_a_job_without_faults(prepared, expected, tmp_path, seed):
    *_, finished = reports = simulate(prepared, tmp_path, seed)
    assert finished == Finished(Outcome.SUCCEEDED, prepared.schedule.steps, expected.digest)
    assert [report.epoch for report in reports if isinstance(report, EpochEnded)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("seed", range(3))
def test_a_job_whose_members_are_killed(prepared, expected, tmp_path, seed):
    faults = [(Role.WORKER, 1, 0.03), (Role.PARAMETER_SERVER, 0, 0.06), (Role.WORKER, 0, 0.02)]
    *_, finished = reports = simulate(prepared, tmp_path, seed, *faults)
    assert finished == Finished(Outcome.SUCCEEDED, prepared.schedule.steps, expected.digest)
    reasons = [report.reason for report in reports if isinstance(report, Notice)]
    assert reasons.count("PARAMETER_SERVER_LOST") == 1
    assert reasons.count("WORKER_LOST") >= 2, "workers of a dead parameter server end too"


def test_a_seed_repeats_a_run(prepared, tmp_path):
    runs = [simulate(prepared, tmp_path / name, 4, (Role.WORKER, 2, 0.04)) for name in "ab"]
    assert [str(report) for report in runs[0]] == [str(report) for report in runs[1]]
