"""The coordinator when training reports its position, epochs or a divergence."""

import math

import pytest

from raydient.server.training.actions import (
    Discard,
)
from raydient.server.training.divergence import LAYERS_NAMED
from raydient.server.training.progress import ProgressReports
from raydient.server.training.reports import (
    EpochEnded,
    Finished,
    Notice,
    Outcome,
    Progress,
)
from raydient.steps.measurements import GradientHealth, LayerHealth
from raydient.steps.schedule import RoundKind
from raydient.wire import control

from .coordinating import (
    SCHEDULE,
    done,
    reports,
    running,
    saved,
    status,
)


def test_progress_has_the_position_of_training(coordinator, clock):
    running(coordinator)
    clock.now += 2
    # 100 rows in steps of 40: an epoch is 3 steps and one evaluation, and step 4 is the first of the second epoch
    (progress,) = reports(coordinator.status(status(step=4, round_=5)), Progress)
    assert (progress.step, progress.steps, progress.epoch, progress.epochs) == (4, 9, 1, 3)
    assert (progress.samples, progress.samples_per_second) == (140, 70.0)
    assert (progress.workers_alive, progress.workers_wanted) == (2, 2)


def test_a_metric_that_is_not_finite_is_left_out():
    """A database of jobs has no place for NaN."""
    values = {"loss": 0.5, "a": math.nan, "b": math.inf}
    progress = ProgressReports(SCHEDULE, lambda sums: values, lambda: 0.0)
    (ended,) = progress.epochs(done(0))
    assert ended.metrics == {"train": {"loss": 0.5}}


def test_the_learning_rate_is_a_metric_of_the_training_part_if_it_changes():
    progress = ProgressReports(SCHEDULE, lambda sums: {"loss": 0.5}, lambda: 0.0, rates=True)
    (ended,) = progress.epochs(control.EpochsDone([control.EpochSums(0, 3, 3.0, [100, 50.0], [10, 4.0], 0.25)]))
    assert ended.metrics == {"train": {"loss": 0.5, "learning_rate": 0.25}, "test": {"loss": 0.5}}


def test_epoch_means_are_sums_over_rows(coordinator):
    running(coordinator)
    message = control.EpochsDone([control.EpochSums(0, 3, 3.0, [100, 50.0, 80.0], [10, 4.0, 9.0])])
    (ended,) = reports(coordinator.epochs(message), EpochEnded)
    assert ended == EpochEnded(
        1, 3, 3.0, {"train": {"loss": 0.5, "accuracy": 0.8}, "test": {"loss": 0.4, "accuracy": 0.9}}
    )


@pytest.mark.parametrize(
    ("steps", "kept", "discarded"),
    [
        ([], "there is no good checkpoint", []),
        ([6], "the checkpoint of step 6 is kept", []),
        ([3, 6], "the checkpoint of step 6 is kept", []),
        ([3, 7], "the checkpoint of step 3 is kept", [Discard(7)]),
        ([7], "there is no good checkpoint", [Discard(7)]),
    ],
)
def test_divergence_names_step_layer_and_what_is_kept(coordinator, steps, kept, discarded):
    running(coordinator)
    for step in steps:
        saved(coordinator, step)
    actions = coordinator.diverged(control.NonFinite(RoundKind.TRAIN, 7, float("nan"), "dense_2.kernel", finite=False))
    (finished,) = reports(actions, Finished)
    assert (finished.outcome, finished.reason, finished.step) == (Outcome.FAILED, "NON_FINITE", 7)
    assert finished.message == (
        f"loss nan at step 7; the first gradient that is not finite is that of layer dense_2 (kernel); {kept}"
    )
    assert [action for action in actions if isinstance(action, Discard)] == discarded


def test_a_loss_that_overflows_first_names_the_largest_gradient(coordinator):
    running(coordinator)
    divergence = control.NonFinite(RoundKind.TRAIN, 7, float("inf"), "dense_1.bias", finite=True)
    (finished,) = reports(coordinator.diverged(divergence), Finished)
    assert (
        "loss inf at step 7; all gradients are finite, the largest is that of layer dense_1 (bias)" in finished.message
    )


def test_a_loss_that_overflows_on_the_held_out_part_ends_the_job_too(coordinator):
    running(coordinator)
    divergence = control.NonFinite(RoundKind.EVALUATE, 6, float("inf"), "", finite=True)
    (finished,) = reports(coordinator.diverged(divergence), Finished)
    assert finished.message == "loss inf on the held-out part after 6 steps; there is no good checkpoint"


def test_the_layers_of_a_step_that_diverges_are_named(coordinator):
    running(coordinator)
    layers = [LayerHealth(f"dense_{n}", math.nan, None, n) for n in range(LAYERS_NAMED + 2)]
    (progress,) = reports(coordinator.status(status(6, health=GradientHealth(7, tuple(layers)))), Progress)
    assert progress.measurements.gradient_health == GradientHealth(7, tuple(layers))
    divergence = control.NonFinite(RoundKind.TRAIN, 6, math.nan, "dense_2.kernel", finite=False)
    (finished,) = reports(coordinator.diverged(divergence), Finished)
    named = ", ".join(f"dense_{n} {n}" for n in range(2, LAYERS_NAMED + 2))
    assert f"(kernel); values that are not finite: {named}, 1 more layers; there is" in finished.message


def test_health_outlives_the_parameter_server_that_measured_it(coordinator):
    running(coordinator)
    health = GradientHealth(4, (LayerHealth("dense_1", 0.5, 0.001, 0),))
    coordinator.status(status(4, health=health))
    coordinator.lost(0, "killed")
    (progress,) = reports(coordinator.status(status(step=2)), Progress)
    assert progress.measurements.gradient_health == health


def test_an_epoch_that_is_computed_again_is_reported_once(coordinator):
    running(coordinator)
    assert [ended.epoch for ended in reports(coordinator.epochs(done(0, 1)), EpochEnded)] == [1, 2]
    assert [ended.epoch for ended in reports(coordinator.epochs(done(1, 2)), EpochEnded)] == [3]


def test_epochs_that_an_earlier_run_reported_are_not_reported_again(make_coordinator):
    coordinator = make_coordinator(last_epoch=2)
    running(coordinator)
    coordinator.served(6, [3, 6], damaged=False)
    assert [ended.epoch for ended in reports(coordinator.epochs(done(1, 2)), EpochEnded)] == [3]


def test_a_lowered_learning_rate_is_reported_once_after_its_epoch(coordinator):
    running(coordinator)
    message = control.EpochsDone([control.EpochSums(0, 3, 3.0, [100, 50.0, 80.0], [10, 4.0, 9.0], 0.1, 0.05)])
    ended, notice = [action.report for action in coordinator.epochs(message)]
    assert (ended.epoch, notice.reason) == (1, "LEARNING_RATE_REDUCED")
    assert notice.message == (
        "after epoch 1 the learning rate is 0.05, it was 0.1: the watched metric has not improved"
    )
    assert coordinator.epochs(message) == []


def test_a_rollback_is_reported_and_training_goes_on(coordinator):
    running(coordinator)
    back = control.NonFinite(RoundKind.TRAIN, 6, math.inf, "dense_2.kernel", False, rolls_back=True, rollbacks=2)
    (notice,) = reports(coordinator.diverged(back), Notice)
    assert (notice.reason, coordinator.ended) == ("ROLLED_BACK", False)
    assert notice.message == (
        "loss inf at step 7, the first gradient that is not finite is that of layer dense_2 (kernel): the weights are "
        "again those at the end of the last epoch, with a smaller learning rate; 2 rollbacks so far"
    )
    evaluation = control.NonFinite(RoundKind.EVALUATE, 6, math.nan, "", True, rolls_back=True, rollbacks=1)
    (notice,) = reports(coordinator.diverged(evaluation), Notice)
    assert notice.message.startswith("loss nan on the held-out part after 6 steps: the weights")


def test_the_failure_after_the_last_rollback_has_their_number(coordinator):
    running(coordinator)
    end = control.NonFinite(RoundKind.EVALUATE, 6, math.inf, "", finite=True, rollbacks=5)
    (finished,) = reports(coordinator.diverged(end), Finished)
    assert finished.message == (
        "loss inf on the held-out part after 6 steps; 5 rollbacks before; there is no good checkpoint"
    )
