"""Workers, transport and cluster do not change the weights."""

import numpy as np
import pytest

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import EpochEnded, Outcome
from raydient.spec.dataset import columns_beside
from raydient.spec.validation import validate_job
from raydient.workers.network import load_model

from .conftest import execute


@pytest.mark.parametrize("transport", ["shared-memory", "tcp"])
@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_any_number_of_local_workers(job, local, expected, tmp_path, workers, transport):
    prepared = job(workers)
    finished = execute(prepared, local, tmp_path, transport=transport)
    assert (finished.outcome, finished.step) == (Outcome.SUCCEEDED, prepared.schedule.steps)
    assert finished.digest == expected(prepared)
    model = load_model(tmp_path / "model.safetensors")
    assert model.digest == finished.digest
    assert model.beside == columns_beside(prepared.spec.dataset) != ()


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


def test_held_out_data_of_their_own_have_the_same_metrics(job, data, local, tmp_path):
    spec = job(1, epochs=2).spec
    with np.load(data) as arrays:
        np.savez(tmp_path / "own.npz", x=arrays["x"][:37], y=arrays["y"][:37])
    dataset = {**spec.dataset.canonical(), "split": {"test": 0}, "validation": {"uri": "own.npz"}}

    def run(workers):
        resources = {"workers": {"min": workers, "max": workers}}
        whole = validate_job({**spec.canonical(), "dataset": dataset, "resources": resources})
        reports = []
        prepared = prepare(whole, data, validation=tmp_path / "own.npz")
        execute(prepared, local, tmp_path / str(workers), reports.append)
        return prepared.schedule.test_rows, [(r.epoch, r.metrics) for r in reports if isinstance(r, EpochEnded)]

    rows, curve = run(1)
    assert (rows, curve) == run(3)
    assert (rows, len(curve)) == (37, 2)


def test_another_seed_gives_other_bits(job, local, expected, tmp_path):
    assert execute(job(2, seed=12), local, tmp_path).digest != expected(job(2))
