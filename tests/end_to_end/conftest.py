"""Runs of real jobs with real processes."""

import os
import signal
from contextlib import closing

import numpy as np
import pytest

from raydient.server.clusters.local import LocalCluster
from raydient.server.embedded import train
from raydient.server.training.history import HISTORY_FILE, History
from raydient.server.training.members import Members
from raydient.server.training.preparation import prepare
from raydient.server.training.reports import Finished
from raydient.server.training.shell import MESSAGE_LIMIT, CoordinatorShell
from raydient.server.training.storage import Storage
from raydient.spec.validation import validate_job
from raydient.wire import control
from raydient.wire.endpoint import Transport
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub

from .naive import naive


class Watched:
    """A cluster that records the processes it started, by role, so that a test can kill one."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.processes = []

    def __getattr__(self, name):
        return getattr(self._cluster, name)

    def start(self, role, launch, log, **options):
        process = self._cluster.start(role, launch, log, **options)
        self.processes.append((role, process))
        return process

    def kill(self, role, number, signal_=signal.SIGKILL):
        """Send a signal to the `number`-th living process of a role."""
        living = [process for r, process in self.processes if r is role and process.ended() is None]
        os.kill(living[number % len(living)].pid, signal_)


def execute(prepared, cluster, directory, tell=lambda report: None, transport="auto", orders=None):
    """Run a job on a cluster that stays open, and return its last report. `tell` may append to `orders`."""
    secret, last = new_secret(), []
    workers = prepared.spec.resources.workers

    def hear(report):
        last.append(report)
        tell(report)

    with closing(Hub(secret, MESSAGE_LIMIT)) as network, closing(History(directory / HISTORY_FILE)) as history:
        members = Members(
            cluster,
            network,
            network.listen(cluster.host, node=cluster.node),
            job="test",
            secret=secret,
            logs=directory / "logs",
            transport=Transport(transport),
        )
        storage = Storage(prepared, directory, "test", history)
        size = control.Scale(workers.max, workers.min)
        CoordinatorShell(prepared, size, members, storage, tell=hear, orders=orders).run()
    assert isinstance(last[-1], Finished)
    return last[-1]


@pytest.fixture
def local():
    """The local cluster, which records its processes."""
    with closing(LocalCluster(4)) as cluster:
        yield Watched(cluster)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Three classes that a small network can tell apart, 700 rows of 20 values."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, 700)
    x = rng.normal(size=(700, 20)) + 2 * np.eye(3, 20)[labels]
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    np.savez(path, x=x.astype(np.float32), y=labels)
    return path


CLASSIFIER = {
    "layers": [{"dense": {"units": 48, "activation": "tanh"}}, {"dense": {"units": 3}}],
    "loss": "softmax_cross_entropy",
}


@pytest.fixture
def job(data):
    """Return a function that builds a prepared job on that data; keywords replace parts of `training`."""

    def make(workers=2, checkpoint_seconds=1000.0, network=CLASSIFIER, placement=None, servers=1, **training):
        spec = {
            "dataset": {"uri": data.name, "standardize": True},
            "network": network,
            "training": {
                "epochs": 3,
                "batch_size": 100,
                "microbatches": 7,
                "optimizer": "adam",
                "seed": 11,
                **training,
            },
            "checkpoints": {"interval_seconds": checkpoint_seconds},
            "resources": {
                "workers": workers,
                "parameter_servers": servers,
                **({"placement": placement} if placement else {}),
            },
        }
        return prepare(validate_job(spec), data)

    return make


@pytest.fixture
def spec(job, data):
    """Return a job as a user writes it, with its data beside this test."""

    def make(workers=2, checkpoint_seconds=0.0, **training):
        prepared = job(workers, checkpoint_seconds, **training).spec.canonical()
        return {**prepared, "dataset": {**prepared["dataset"], "uri": str(data)}}

    return make


@pytest.fixture(scope="module")
def expected():
    """Return a function that returns the digest of the naive loop, computed once for each job of a module."""
    known = {}

    def look_up(prepared):
        key = str(prepared.spec.training)
        if key not in known:
            known[key] = naive(prepared).digest
        return known[key]

    return look_up


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, data):
    """Return the digest of a job that the embedded mode trains without disturbance."""
    known = {}

    def look_up(prepared):
        key = str(prepared.spec.training)
        if key not in known:
            directory = tmp_path_factory.mktemp("embedded")
            known[key] = train(prepared.spec, data, directory=directory, report=lambda report: None).digest
        return known[key]

    return look_up
