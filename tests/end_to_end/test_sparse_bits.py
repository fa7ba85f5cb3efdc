"""Jobs with a large embedding: sparse exchange and updates do not change the weights."""

import numpy as np
import pytest

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import Outcome, Progress
from raydient.spec.validation import validate_job
from raydient.wire.control import Role

from .conftest import execute
from .naive import naive

VOCABULARY = 20_000
SGD = {"sgd": {"learning_rate": 0.1}}
MOMENTUM = {"sgd": {"learning_rate": 0.05, "momentum": 0.9}}
PENALTY = {"embeddings_regularizer": {"l2": 0.01}}


@pytest.fixture(scope="session")
def sentences(tmp_path_factory):
    """600 samples of 5 numbers, some frequent and most rare, and a class that follows from the first one."""
    rng = np.random.default_rng(5)
    x = np.minimum(rng.zipf(1.15, (600, 5)), VOCABULARY - 1)
    path = tmp_path_factory.mktemp("data") / "sentences.npz"
    np.savez(path, x=x.astype(np.float32), y=x[:, 0] % 3)
    return path


@pytest.fixture
def make(sentences):
    """Return a function that prepares a job with a table, 20,000 times 4, used twice; keywords go to `training`."""

    def build(workers, table=None, checkpoint_seconds=1000.0, servers=1, **training):
        words = {"name": "words", "input_dim": VOCABULARY, "output_dim": 4, **(table or {})}
        layers = [
            {"embedding": words},
            {"shared": {"layer": "words", "name": "again", "inputs": "input"}},
            {"multiply": {"inputs": ["words", "again"]}},
            "flatten",
            {"dense": {"units": 8, "activation": "relu"}},
            {"dense": {"units": 3}},
        ]
        spec = {
            "dataset": {"uri": sentences.name, "split": {"test": 0.2}},
            "network": {"layers": layers, "loss": "softmax_cross_entropy"},
            "training": {"epochs": 2, "batch_size": 64, "microbatches": 5, "optimizer": SGD, "seed": 3, **training},
            "monitoring": {"gradient_health_every": 7},
            "checkpoints": {"interval_seconds": checkpoint_seconds},
            "resources": {"workers": workers, "parameter_servers": servers},
        }
        prepared = prepare(validate_job(spec), sentences)
        assert [p.name for p in prepared.network.layout.parameters if p.sparse] == ["words.embeddings"]
        return prepared

    return build


@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_workers(make, local, tmp_path, workers, transport):
    prepared = make(workers)
    finished = execute(prepared, local, tmp_path, transport=transport)
    assert finished.outcome is Outcome.SUCCEEDED
    assert finished.digest == naive(prepared).digest


@pytest.mark.parametrize("optimizer", ["adam", MOMENTUM], ids=["adam", "momentum"])
def test_rules_that_move_every_row(make, local, tmp_path, optimizer):
    prepared = make(2, optimizer=optimizer)
    assert execute(prepared, local, tmp_path, transport="tcp").digest == naive(prepared).digest


@pytest.mark.parametrize("table", [PENALTY, {"trainable": False}], ids=["penalty", "frozen"])
def test_tables_that_are_treated_otherwise(make, local, tmp_path, table):
    prepared = make(3, table)
    assert execute(prepared, local, tmp_path, transport="tcp").digest == naive(prepared).digest


@pytest.mark.parametrize("role", [Role.WORKER, Role.PARAMETER_SERVER])
def test_killed_processes_change_no_bit(make, local, tmp_path, role):
    prepared, waiting = make(2, epochs=60, checkpoint_seconds=0.05), [role]

    def kill(report):
        if isinstance(report, Progress) and report.step > 50 and waiting:
            local.kill(waiting.pop(), 0)

    killed = execute(prepared, local, tmp_path, kill).digest
    assert not waiting
    assert killed == naive(prepared).digest


def test_a_table_that_is_larger_than_a_server_is_divided_among_several(make, local, tmp_path):
    whole, prepared = make(2, optimizer="adam"), make(2, servers=3, optimizer="adam")
    (table,) = [p for p in prepared.network.layout.parameters if p.sparse]
    assert all(stop - start < table.size for start, stop in prepared.ranges)
    assert prepared.memory.parameter_server < whole.memory.parameter_server
    finished = execute(prepared, local, tmp_path, transport="tcp")
    assert finished.digest == naive(prepared).digest


@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
def test_progress_has_the_exchanged_bytes(make, local, tmp_path, transport):
    progress = []
    prepared = make(2)
    execute(prepared, local, tmp_path, progress.append, transport=transport)

    measured = [p.measurements.exchange_bytes for p in progress if isinstance(p, Progress)][-1]
    # Three nodes of two workers a step, each with at most 64 samples of 5 numbers in use, out of 20,000.
    assert measured["push"] < prepared.schedule.steps * 3 * (64 * 5 * 5 + 300) * 4 + 100_000
    if transport == "tcp":
        # In an epoch each of 600 samples is used once, with 5 rows of 4 values; 8 steps of 2 workers have the rest.
        rest = prepared.network.layout.size - VOCABULARY * 4
        assert 0 < measured["pull"] <= 2 * 4 * (600 * 5 * 4 + 10 * 2 * rest)
