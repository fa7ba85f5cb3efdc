"""The first promise: workers, transport and cluster are no input to the weights."""

from itertools import pairwise

import numpy as np
import pytest

from raydient.server.parameters.optimizers import build_optimizer
from raydient.server.training.reports import EpochEnded, Outcome
from raydient.workers.data import epoch_order
from raydient.workers.network import Program, load_model

from .conftest import execute


def naive(prepared):
    """The digest by a loop in this process that knows no workers, servers or rounds: only the definition."""
    schedule, network, data = prepared.schedule, prepared.network, prepared.dataset
    training = prepared.spec.training
    weights = np.zeros(network.layout.size, np.float32)
    network.initialize(training.seed, weights)
    optimizer = build_optimizer(training.optimizer.kind, training.optimizer.value.model_dump())
    state = [np.zeros_like(weights) for _ in optimizer.state]
    scratch = [np.empty_like(weights), np.empty_like(weights)]
    bound, step = network.bind(weights), 0

    def gradient(rows, scale):
        program, result = Program(network, len(rows)), np.zeros_like(weights)
        program.x[:], program.y[:] = data.train.x[rows], data.train.y[rows]
        program.forward(bound)
        program.backward(bound, network.bind(result), scale)
        return result

    def tree(parts):
        if len(parts) == 1:
            return parts[0]
        left = 1
        while left * 2 < len(parts):
            left *= 2
        return tree(parts[:left]) + tree(parts[left:])

    for epoch in range(training.epochs):
        order = epoch_order(training.seed, epoch, schedule.train_rows)
        for start in range(0, schedule.train_rows, schedule.batch_size):
            batch = order[start : start + schedule.batch_size]
            count = min(schedule.microbatches, len(batch))
            bounds = [len(batch) * i // count for i in range(count + 1)]
            shares = [batch[a:b] for a, b in pairwise(bounds)]
            total = tree([gradient(share, 1.0 / len(batch)) for share in shares])
            optimizer.update(step, weights, total, state, scratch)
            step += 1
    return network.layout.digest(weights)


@pytest.fixture(scope="module")
def expected():
    """Digests by the naive loop, computed once a job."""
    known = {}

    def look_up(prepared):
        key = str(prepared.spec.training)
        if key not in known:
            known[key] = naive(prepared)
        return known[key]

    return look_up


@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_any_number_of_local_workers(job, local, expected, tmp_path, workers, transport):
    prepared = job(workers)
    finished = execute(prepared, local, tmp_path, transport=transport)
    assert (finished.outcome, finished.step) == (Outcome.SUCCEEDED, prepared.schedule.steps)
    assert finished.digest == expected(prepared)
    assert load_model(tmp_path / "model.safetensors").digest == finished.digest


@pytest.mark.ray
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_any_number_of_workers_on_ray(job, ray_cluster, expected, tmp_path, workers):
    prepared = job(workers)
    assert execute(prepared, ray_cluster, tmp_path).digest == expected(prepared)


@pytest.mark.parametrize(
    "optimizer", [{"sgd": {"learning_rate": 0.1}}, {"sgd": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}}]
)
def test_other_optimizers(job, local, expected, tmp_path, optimizer):
    prepared = job(3, optimizer=optimizer, epochs=2)
    assert execute(prepared, local, tmp_path).digest == expected(prepared)


def test_metrics_are_the_same_bits_too(job, local, tmp_path):
    def curve(workers):
        reports = []
        execute(job(workers, epochs=20), local, tmp_path / str(workers), reports.append)
        return [(r.epoch, r.step, r.metrics) for r in reports if isinstance(r, EpochEnded)]

    one, three = curve(1), curve(3)
    assert one == three
    assert [epoch for epoch, _, _ in one] == list(range(1, 21))
    assert one[-1][2]["test"]["accuracy"] > 0.8


def test_another_seed_gives_other_bits(job, local, expected, tmp_path):
    assert execute(job(2, seed=12), local, tmp_path).digest != expected(job(2))
