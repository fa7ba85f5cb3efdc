"""Health of real runs: that of the whole batch by the definition, for any number of workers."""

import math

import numpy as np
import pytest

from raydient.server.training.reports import Outcome, Progress
from raydient.workers.network import Program

from .conftest import execute

BIAS = {"constant": {"value": -2.2}}
NETWORK = {
    "layers": [
        {"dense": {"units": 48, "activation": "relu", "bias_initializer": BIAS}},
        {"dense": {"units": 3}},
    ],
    "loss": "softmax_cross_entropy",
}


def last_health(prepared, cluster, directory, transport="auto"):
    reports = []
    finished = execute(prepared, cluster, directory, reports.append, transport)
    return finished, [report for report in reports if isinstance(report, Progress)][-1].measurements.gradient_health


def test_the_only_step_against_one_pass_over_the_whole_batch(job, local, tmp_path):
    rate = 0.5
    prepared = job(2, network=NETWORK, epochs=1, batch_size=560, optimizer={"sgd": {"learning_rate": rate}})
    assert prepared.schedule.steps == 1
    _, health = last_health(prepared, local, tmp_path)

    network, data = prepared.network, prepared.dataset
    weights, gradient = np.zeros(network.layout.size, np.float32), np.zeros(network.layout.size, np.float32)
    network.initialize(prepared.spec.training.seed, weights)
    program = Program(network, len(data.train.x))
    program.x[:], program.y[:] = data.train.x, data.train.y
    program.forward(network.bind(weights))
    program.backward(network.bind(weights), network.bind(gradient), 1 / program.rows)
    assert health.step == 1
    for layer, first, last in zip(health.layers, (0, 2), (2, 4), strict=True):
        parameters = network.layout.parameters[first:last]
        g, w = (np.concatenate([p.view(v).ravel() for p in parameters]) for v in (gradient, weights))
        assert layer.gradient_norm == pytest.approx(np.linalg.norm(g), rel=1e-4)
        assert layer.update_ratio == pytest.approx(rate * np.linalg.norm(g) / np.linalg.norm(w), rel=1e-4)
        assert layer.non_finite_values == 0
    dead = np.mean((program.outputs[0] == 0).all(axis=0))
    assert 0 < dead < 1
    assert [layer.dead_units_ratio for layer in health.layers] == [dead, None]


def test_neither_workers_nor_transport_change_the_health(job, local, tmp_path):
    healths = [
        last_health(job(workers, network=NETWORK), local, tmp_path / f"{workers}{transport}", transport)[1]
        for workers, transport in ((1, "auto"), (3, "shared-memory"), (3, "tcp"))
    ]
    assert healths[0] == healths[1] == healths[2]
    assert healths[0].step == job(1, network=NETWORK).schedule.steps


def test_a_job_that_diverges_reports_the_layers_of_that_step(job, local, tmp_path):
    network = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
    prepared = job(2, epochs=500, network=network, optimizer={"sgd": {"learning_rate": 2.0}})
    finished, health = last_health(prepared, local, tmp_path)
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "NON_FINITE")
    (layer,) = health.layers
    assert health.step == finished.step + 1
    assert layer.update_ratio is None
    assert math.isfinite(layer.gradient_norm) == (layer.non_finite_values == 0)
    if layer.non_finite_values:
        assert f"values that are not finite: dense_1 {layer.non_finite_values}" in finished.message
