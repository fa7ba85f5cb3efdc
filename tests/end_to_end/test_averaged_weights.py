"""A job that averages its weights has the model and the losses of a naive loop, whatever happens to its processes."""

import numpy as np
import pytest

from raydient.server.training.checkpoint_files import good_manifests
from raydient.server.training.reports import EpochEnded, Notice, Outcome, Progress
from raydient.steps.layout import Learned
from raydient.wire.control import Role
from raydient.workers.network import Program, load_model

from .conftest import execute
from .naive import Update, naive

NETWORK = {
    "layers": [{"dense": {"units": 400, "activation": "tanh"}}, {"batch_normalization": {}}, {"dense": {"units": 3}}],
    "loss": "softmax_cross_entropy",
}
"""Large enough for two parameter servers."""
TRAINING = {"epochs": 12, "average": {"decay": 0.9}, "keep": {"best": {"monitor": "loss"}}}


class Averaging(Update):
    """Averages the weights after each update, and evaluates the average at the end of each epoch."""

    def __init__(self, training, network, weights, rounds):
        super().__init__(training, network, weights, rounds)
        self._decay_of_average = training.average.decay
        self.average = weights.copy()

    def __call__(self, step, gradient):
        super().__call__(step, gradient)
        for p in self._layout.parameters:
            new, mean = p.view(self._weights), p.view(self.average)
            if step == 0 or not isinstance(p.kind, Learned):
                mean[...] = new
            else:
                mean += (new - mean) * np.float32(1 - self._decay_of_average)


@pytest.fixture(scope="module")
def twin():
    """Return a function that returns the losses of the average by epoch, and its digests."""
    known = []

    def compute(prepared):
        network, test, averages = prepared.network, prepared.dataset.test, []
        rows = len(next(iter(test.xs.values())))
        program = Program(network, rows, weighted=False)
        for arrays, values in ((program.xs, test.xs), (program.ys, test.ys)):
            for name, array in arrays.items():
                array[:] = values[name]
        losses, digests = [], []

        def make(*arguments):
            averages.append(Averaging(*arguments))
            return averages[-1]

        def ends(epoch, weights):
            losses.append(program.forward(network.bind(averages[-1].average))[0] / rows)
            digests.append(network.layout.digest(averages[-1].average))
            return False

        naive(prepared, make, ends=ends)
        return losses, digests

    def look_up(prepared):
        if not known:
            known.append(compute(prepared))
        return known[0]

    return look_up


def assert_like(twin, prepared, finished, reports, directory):
    losses, digests = twin(prepared)
    best = int(np.argmin(losses))
    assert (finished.outcome, finished.epoch, finished.digest) == (Outcome.SUCCEEDED, best + 1, digests[best])
    assert load_model(directory / "model.safetensors").digest == finished.digest
    (_, manifest, _), *_ = good_manifests(directory / "checkpoints", "test")
    assert (manifest.average_digest, manifest.best_digest) == (digests[-1], digests[best])
    assert manifest.digest not in digests
    evaluated = {r.epoch: r.metrics["test"]["loss"] for r in reports if isinstance(r, EpochEnded)}
    np.testing.assert_allclose([evaluated[epoch + 1] for epoch in range(len(losses))], losses, rtol=1e-6)


def test_workers_servers_and_transport_do_not_matter(job, local, twin, tmp_path):
    prepared, reports = job(3, servers=2, network=NETWORK, **TRAINING), []
    finished = execute(prepared, local, tmp_path, reports.append, transport="tcp")
    assert_like(twin, prepared, finished, reports, tmp_path)


def test_a_killed_parameter_server_does_not_matter(job, local, twin, tmp_path):
    prepared = job(2, servers=2, checkpoint_seconds=0.0, network=NETWORK, **TRAINING)
    reports, killed = [], []

    def disturb(report):
        reports.append(report)
        if isinstance(report, Progress) and report.step >= 10 and not killed:
            killed.append(report)
            local.kill(Role.PARAMETER_SERVER, 1)

    finished = execute(prepared, local, tmp_path, disturb)
    assert "PARAMETER_SERVER_LOST" in [r.reason for r in reports if isinstance(r, Notice)]
    assert_like(twin, prepared, finished, reports, tmp_path)
