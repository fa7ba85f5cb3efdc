"""A sample whose loss overflows: the steps with it are skipped, with the bits of a naive loop, and the job succeeds."""

import numpy as np
import pytest

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import EpochEnded, Notice, Outcome, Progress
from raydient.spec.validation import validate_job

from .conftest import execute
from .naive import Update, naive


class Skipping(Update):
    """Makes no update by a gradient that is not finite."""

    def __call__(self, step, gradient):
        if np.isfinite(gradient).all():
            super().__call__(step, gradient)


@pytest.fixture
def overflowing(tmp_path):
    """Return a function that prepares a job with one sample of the training part whose loss is infinite."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 20)).astype(np.float32)
    x[0] = 1e38
    path = tmp_path / "outlier.npz"
    np.savez(path, x=x, y=rng.normal(size=300).astype(np.float32))

    def make(answer, workers=1, servers=1):
        layers = [{"dense": {"units": 400, "activation": "relu"}}, {"dense": {"units": 1}}]
        spec = {
            "dataset": {"uri": path.name},
            "network": {"layers": layers, "loss": "mean_squared_error"},
            "training": {"epochs": 3, "batch_size": 40, "seed": 4, "optimizer": "adam", "on_non_finite": answer},
            "resources": {"workers": workers, "parameter_servers": servers},
        }
        prepared = prepare(validate_job(spec), path)
        assert max(np.abs(values).max() for values in prepared.dataset.test.xs.values()) < 100
        return prepared

    return make


@pytest.mark.parametrize(("workers", "servers", "transport"), [(1, 1, "auto"), (3, 2, "tcp")])
def test_steps_with_an_infinite_loss_are_skipped(overflowing, local, tmp_path, workers, servers, transport):
    prepared, reports = overflowing("skip_step", workers, servers), []
    finished = execute(prepared, local, tmp_path / "job", reports.append, transport=transport)
    with np.errstate(all="ignore"):
        assert finished.digest == naive(prepared, Skipping).digest
    assert finished.step == prepared.schedule.steps
    skipped = [r.message for r in reports if isinstance(r, Notice) and r.reason == "STEP_SKIPPED"]
    assert [message.partition("; ")[2] for message in skipped] == [
        f"{count} skipped since the parameter server began" for count in ("1 step", "2 steps")
    ], "of three the first two are reported"
    progress = [r for r in reports if isinstance(r, Progress)][-1]
    assert progress.measurements.skipped_steps == 3
    epochs = [r.metrics for r in reports if isinstance(r, EpochEnded)]
    assert all({"loss"} <= metrics["train"].keys() & metrics["test"].keys() for metrics in epochs)


def test_by_default_the_job_fails(overflowing, local, tmp_path):
    finished = execute(overflowing("fail"), local, tmp_path / "job")
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "NON_FINITE")
