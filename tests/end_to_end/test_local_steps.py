"""Local steps: the same bits for any number of workers and servers, over any transport, whatever happens to them."""

import itertools

import pytest

from raydient.server.training.reports import EpochEnded
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


def test_one_local_step_has_the_bits_of_a_synchronous_job(job, local, tmp_path):
    prepared = job(2, network=NETWORK, epochs=1, optimizer=MOMENTUM, consistency={"local": {"steps": 1}})
    assert execute(prepared, local, tmp_path).digest == naive(prepared).digest
