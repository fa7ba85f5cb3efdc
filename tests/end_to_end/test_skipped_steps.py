"""A sample whose loss overflows: its steps are skipped or rolled back, with the bits of a naive loop."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from raydient.server.training.preparation import prepare
from raydient.server.training.reports import EpochEnded, Notice, Outcome, Progress
from raydient.spec.validation import validate_job
from raydient.wire.control import Role

from .conftest import execute
from .naive import Update, naive


class Skipping(Update):
    """Makes no update by a gradient that is not finite."""

    def __call__(self, step, gradient):
        if np.isfinite(gradient).all():
            super().__call__(step, gradient)


class RollingBack(Update):
    """Returns to the weights and state at the end of an epoch, by a gradient that is not finite."""

    def __init__(self, training, network, weights, rounds):
        super().__init__(training, network, weights, rounds)
        self._steps, self._factor = rounds.steps_per_epoch, training.rollback.learning_rate_factor
        self._arrays = [weights, *self._state]
        self._kept = [array.copy() for array in self._arrays]

    def __call__(self, step, gradient):
        if np.isfinite(gradient).all():
            super().__call__(step, gradient)
        else:
            for array, kept in zip(self._arrays, self._kept, strict=True):
                array[:] = kept
            self._rule.learning_rate.factor *= self._factor
        if (step + 1) % self._steps == 0:
            self._kept = [array.copy() for array in self._arrays]


@pytest.fixture
def overflowing(tmp_path):
    """Return a function that prepares a job with one sample of the training part whose loss is infinite."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 20)).astype(np.float32)
    x[0] = 1e38
    path = tmp_path / "outlier.npz"
    np.savez(path, x=x, y=rng.normal(size=300).astype(np.float32))

    def make(answer, workers=1, servers=1, checkpoint_seconds=1000.0):
        layers = [{"dense": {"units": 400, "activation": "relu"}}, {"dense": {"units": 1}}]
        spec = {
            "dataset": {"uri": path.name},
            "network": {"layers": layers, "loss": "mean_squared_error"},
            "training": {"epochs": 3, "batch_size": 40, "seed": 4, "optimizer": "adam", "on_non_finite": answer},
            "checkpoints": {"interval_seconds": checkpoint_seconds},
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


def assert_rolled_back(prepared, finished):
    with np.errstate(all="ignore"):
        expected = naive(prepared, RollingBack).digest
    assert (finished.outcome, finished.step) == (Outcome.SUCCEEDED, prepared.schedule.steps)
    assert finished.digest == expected


def test_an_infinite_loss_is_rolled_back(overflowing, local, tmp_path):
    prepared, reports = overflowing("rollback", 3, 2), []
    finished = execute(prepared, local, tmp_path / "job", reports.append, transport="tcp")
    assert_rolled_back(prepared, finished)
    notices = [r.message for r in reports if isinstance(r, Notice) and r.reason == "ROLLED_BACK"]
    assert [message.partition("; ")[2] for message in notices] == [
        "1 rollback so far",
        "2 rollbacks so far",
        "3 rollbacks so far",
    ]
    assert [r for r in reports if isinstance(r, Progress)][-1].measurements.rollbacks == 3


def test_a_rollback_survives_the_loss_of_a_parameter_server(overflowing, local, tmp_path):
    prepared, reports, killed = overflowing("rollback", 2, 2, checkpoint_seconds=0.0), [], []

    def disturb(report):
        reports.append(report)
        if isinstance(report, Progress) and report.measurements.rollbacks and not killed:
            killed.append(report)
            local.kill(Role.PARAMETER_SERVER, 1)

    assert_rolled_back(prepared, execute(prepared, local, tmp_path / "job", disturb))
    assert "PARAMETER_SERVER_LOST" in [r.reason for r in reports if isinstance(r, Notice)]


def test_after_the_last_rollback_the_job_fails_with_good_checkpoints(overflowing, local, tmp_path):
    prepared = overflowing({"rollback": {"max_rollbacks": 2}}, checkpoint_seconds=0.0)
    finished = execute(prepared, local, tmp_path / "job")
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "NON_FINITE")
    assert "2 rollbacks before" in finished.message
    for weights in (tmp_path / "job" / "checkpoints").glob("*/weights.safetensors"):
        assert all(np.isfinite(values).all() for values in load_file(weights).values())


def test_by_default_the_job_fails(overflowing, local, tmp_path):
    finished = execute(overflowing("fail"), local, tmp_path / "job")
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "NON_FINITE")
