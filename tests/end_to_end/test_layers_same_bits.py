"""Random layers and layers over a whole microbatch: neither the number nor the loss of workers changes the weights."""

import numpy as np
import pytest

from raydient.server.training.reports import Progress
from raydient.wire.control import Role
from raydient.workers.network import Program, load_model

from .conftest import execute

NETWORKS = {
    "dropout": [
        {"dense": {"units": 32, "activation": "relu"}},
        {"dropout": {"rate": 0.3}},
        {"layer_normalization": {}},
        {"dense": {"units": 3}},
    ],
    "batch_normalization": [
        {"dense": {"units": 32, "activation": "relu"}},
        {"batch_normalization": {"momentum": 0.9, "name": "norm"}},
        {"dense": {"units": 3}},
    ],
}


@pytest.fixture(params=NETWORKS)
def make(request, job):
    layers = {"layers": NETWORKS[request.param], "loss": "softmax_cross_entropy"}
    return lambda workers, **training: job(workers, network=layers, **training)


def test_any_number_of_workers(make, local, tmp_path):
    digests = {execute(make(n, epochs=2), local, tmp_path / str(n)).digest for n in (1, 2, 3)}
    assert len(digests) == 1


@pytest.mark.parametrize("role", [Role.WORKER, Role.PARAMETER_SERVER])
def test_killed_processes_change_no_bit(make, local, tmp_path, role):
    prepared, waiting = make(2, epochs=60, checkpoint_seconds=0.05), [role]

    def kill(report):
        if isinstance(report, Progress) and report.step > 50 and waiting:
            local.kill(waiting.pop(), 0)

    killed = execute(prepared, local, tmp_path / "killed", kill).digest
    assert not waiting
    assert killed == execute(prepared, local, tmp_path / "undisturbed").digest


def test_the_running_statistics_are_those_of_the_training_part(job, local, tmp_path):
    """The first layer hardly changes, so neither do its outputs, and the averages forget their initial values."""
    still = {"dense": {"units": 4, "bias_initializer": {"constant": {"value": 3}}}}
    layers = [still, {"batch_normalization": {"momentum": 0.9}}, {"dense": {"units": 3}}]
    network = {"layers": layers, "loss": "softmax_cross_entropy"}
    optimizer = {"sgd": {"learning_rate": 1e-8}}
    prepared = job(3, network=network, epochs=20, microbatches=2, optimizer=optimizer)
    execute(prepared, local, tmp_path)

    model, x = load_model(tmp_path / "model.safetensors"), prepared.dataset.train.x
    weights, program = model.network.bind(model.weights), Program(model.network, len(x))
    program.x[:] = x
    whole = program.predict(weights).copy()
    outputs = program.outputs[0]
    np.testing.assert_allclose(weights[1]["moving_mean"], outputs.mean(0), atol=0.1)
    np.testing.assert_allclose(weights[1]["moving_variance"], outputs.var(0), rtol=0.1)
    program.x[5:] = 0
    assert np.array_equal(program.predict(weights)[:5], whole[:5]), "other rows have no say in a prediction"
