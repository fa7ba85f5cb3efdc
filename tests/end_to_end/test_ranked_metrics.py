"""The AUC of a rare class is that of all rows ranked at once, for any number of workers and after any loss."""

import numpy as np
import pytest

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import Notice, Progress, Started
from raydient.spec.validation import validate_job
from raydient.wire.control import Command, Order, Role
from raydient.workers.network import Program, load_model

from .conftest import execute
from .naive import naive, pairs
from .test_faults import Saboteur, curve

ROWS, POSITIVES = 3_000, 12


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Four values a row, in steps of 0.1, so that outputs may be equal; 12 rows of 3,000 are positive."""
    chance = np.random.default_rng(5)
    y = np.zeros(ROWS)
    y[:: ROWS // POSITIVES] = 1
    x = np.round(chance.standard_normal((ROWS, 4)) + 0.5 * y[:, None], 1)
    path = tmp_path_factory.mktemp("rare") / "rare.npz"
    np.savez(path, x=x.astype(np.float32), y=y)
    return path


@pytest.fixture
def rare(samples):
    """Return the prepared job."""

    def make(workers, checkpoint_seconds=1000.0, epochs=3):
        job = {
            "dataset": {"uri": samples.name, "label": "y", "split": {"test": 0.3}},
            "network": {"layers": [{"dense": {"units": 1}}], "loss": "binary_cross_entropy", "metrics": ["auc"]},
            "training": {"epochs": epochs, "batch_size": 70, "microbatches": 5, "seed": 3, "optimizer": "adam"},
            "checkpoints": {"interval_seconds": checkpoint_seconds},
            "resources": {"workers": workers},
        }
        return prepare(validate_job(job), samples)

    return make


def auc_of(part, directory):
    """The AUC of a model on a part, from the ranks of its outputs."""
    model = load_model(directory / "model.safetensors")
    program = Program(model.network, part.rows)
    program.x[...] = part.x
    program.forward(model.network.bind(model.weights))
    above, positives, negatives = pairs(program.outputs[-1][:, 0], part.y[:, 0] == 1)
    return above / (2 * positives * negatives)


@pytest.mark.parametrize(("workers", "transport"), [(1, "shared-memory"), (2, "tcp"), (3, "auto")])
def test_auc_is_that_of_all_rows_ranked_at_once(rare, local, tmp_path, workers, transport):
    prepared, reports = rare(workers), []
    execute(prepared, local, tmp_path, reports.append, transport)
    epochs = curve(reports)
    assert [epochs[epoch]["train"]["auc"] for epoch in sorted(epochs)] == [e["auc"] for e in naive(prepared).curve]
    assert epochs[3]["test"]["auc"] == pytest.approx(auc_of(prepared.dataset.test, tmp_path), abs=1e-4)


def test_it_survives_the_loss_of_a_parameter_server_within_an_epoch(rare, local, tmp_path):
    prepared = rare(2, 0.0, epochs=12)
    saboteur = Saboteur(local, [(100, Role.PARAMETER_SERVER, 0), (200, Role.WORKER, 0)])
    execute(prepared, local, tmp_path, saboteur)
    assert saboteur.done
    starts = [r.step for r in saboteur.reports if isinstance(r, Started)]
    assert starts[1] > 0, "it went on from a checkpoint"
    epochs = curve(saboteur.reports)
    assert [epochs[epoch]["train"]["auc"] for epoch in sorted(epochs)] == [e["auc"] for e in naive(prepared).curve]


def test_it_goes_on_from_a_stop_within_an_epoch(rare, local, tmp_path):
    prepared, orders, reports = rare(2, epochs=4), [], []

    def stop_within_the_second_epoch(report):
        reports.append(report)
        if isinstance(report, Progress) and report.step % 30 and report.step > 30:
            orders.append(Command(Order.PAUSE))

    execute(prepared, local, tmp_path, stop_within_the_second_epoch, orders=orders)
    execute(rare(3, epochs=4), local, tmp_path, reports.append)
    assert not [r for r in reports if isinstance(r, Notice) and r.reason == "METRICS_RESTARTED"]
    epochs = curve(reports)
    assert [epochs[epoch]["train"]["auc"] for epoch in sorted(epochs)] == [e["auc"] for e in naive(prepared).curve]
