"""Local steps: the same bits for any number of workers and servers, over any transport, whatever happens to them."""

import itertools

import numpy as np
import pytest

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import EpochEnded
from raydient.spec.errors import InvalidSpec
from raydient.spec.validation import validate_job
from raydient.wire.control import Role

from .conftest import execute
from .local_twin import Learner
from .naive import naive
from .test_faults import Saboteur

NETWORK = {
    "layers": [
        {"dense": {"units": 200, "activation": "relu", "kernel_regularizer": {"l1": 1e-4, "l2": 1e-3}}},
        {"batch_normalization": {"momentum": 0.9}},
        {"dropout": {"rate": 0.2}},
        {"dense": {"units": 60, "activation": "tanh", "trainable": False}},
        {"dense": {"units": 3}},
    ],
    "loss": "softmax_cross_entropy",
    "metrics": ["f1"],
}
"""Large enough for two parameter servers."""
VOCABULARY = 20_000
MOMENTUM = {"sgd": {"learning_rate": 0.1, "momentum": 0.5, "nesterov": True}}
TRAINING = {
    "epochs": 4,
    "batch_size": 50,
    "optimizer": MOMENTUM,
    "schedule": {"cosine": {"alpha": 0.1}},
    "consistency": {"local": {"steps": 5}},
    "clipping": {"global_norm": {"limit": 2.0}},
}
"""Rounds of 250 rows, and a last one of 60 rows in two local steps."""


@pytest.fixture(scope="module")
def twin():
    """Return a function that returns the digest and the curve of the naive loop, computed once for each job."""
    known = {}

    def look_up(prepared):
        key = str(prepared.spec.training)
        if key not in known:
            known[key] = naive(prepared, learn=Learner(prepared))
        return known[key]

    return look_up


def test_weights_and_metrics_are_those_of_the_definition(job, local, twin, tmp_path):
    prepared, reports = job(2, servers=2, network=NETWORK, **TRAINING), []
    finished = execute(prepared, local, tmp_path, reports.append, transport="tcp")
    assert (finished.digest, finished.step) == (twin(prepared).digest, 12)
    curve = [report.metrics["train"] for report in reports if isinstance(report, EpochEnded)]
    for metrics, expected in zip(curve, twin(prepared).curve, strict=True):
        assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-9)


@pytest.mark.matrix
@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
@pytest.mark.parametrize(("workers", "servers"), list(itertools.product((1, 2, 3, 4), (1, 2))))
def test_the_whole_matrix(job, local, twin, tmp_path, workers, servers, transport):
    prepared = job(workers, servers=servers, network=NETWORK, **TRAINING)
    assert execute(prepared, local, tmp_path, transport=transport).digest == twin(prepared).digest


def test_the_loss_of_a_worker_and_of_a_server_changes_no_bit(job, local, twin, tmp_path):
    prepared = job(3, servers=2, checkpoint_seconds=0.05, network=NETWORK, **{**TRAINING, "epochs": 16})
    faults = [(8, Role.WORKER, 1), (24, Role.PARAMETER_SERVER, 1)]
    saboteur = Saboteur(local, faults)
    finished = execute(prepared, local, tmp_path, saboteur)
    assert saboteur.done
    assert finished.digest == twin(prepared).digest


def test_learners_have_the_rows_of_tables_that_they_use(local, tmp_path):
    rng, path = np.random.default_rng(8), tmp_path / "words.npz"
    x = np.minimum(rng.zipf(1.2, (240, 4)), VOCABULARY - 1)
    np.savez(path, x=x.astype(np.float32), y=x[:, 0] % 3)
    table = {"embedding": {"name": "words", "input_dim": VOCABULARY, "output_dim": 4}}
    spec = {
        "dataset": {"uri": path.name},
        "network": {"layers": [table, "flatten", {"dense": {"units": 3}}], "loss": "softmax_cross_entropy"},
        "training": {"epochs": 2, "batch_size": 20, "microbatches": 5, "optimizer": MOMENTUM, "consistency": "local"},
        "resources": {"workers": 2, "parameter_servers": 2},
    }
    prepared = prepare(validate_job(spec), path)
    assert [parameter.sparse for parameter in prepared.network.layout.parameters] == [True, False, False]
    digest = naive(prepared, learn=Learner(prepared)).digest
    assert execute(prepared, local, tmp_path, transport="tcp").digest == digest


def test_regularizers_of_tables_are_refused(tmp_path):
    path = tmp_path / "words.npz"
    np.savez(path, x=np.zeros((20, 2), np.float32), y=np.arange(20) % 2)
    words = {"input_dim": VOCABULARY, "output_dim": 4, "embeddings_regularizer": {"l2": 0.1}}
    layers = [{"embedding": {"name": "words", **words}}, "flatten", {"dense": {"units": 2}}]
    spec = {
        "dataset": {"uri": path.name},
        "network": {"layers": layers, "loss": "softmax_cross_entropy"},
        "training": {"batch_size": 2, "consistency": "local"},
    }
    with pytest.raises(InvalidSpec) as refused:
        prepare(validate_job(spec), path)
    (error,) = refused.value.errors
    assert error.path == "training.consistency"
    assert error.message.startswith("a learner has only the rows of words.embeddings that it uses")
    assert error.message.endswith("leave the regularizer out, or use synchronous")


def test_one_local_step_has_the_bits_of_a_synchronous_job(job, local, tmp_path):
    prepared = job(2, network=NETWORK, epochs=1, optimizer=MOMENTUM, consistency={"local": {"steps": 1}})
    assert execute(prepared, local, tmp_path).digest == naive(prepared).digest
