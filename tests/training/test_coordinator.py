"""The coordinator's decisions, without sockets, processes or time."""

import math
from dataclasses import replace

import pytest

from raydient.server.training.coordinator import (
    LAYERS_NAMED,
    START_SECONDS,
    AskSnapshot,
    Coordinator,
    Discard,
    Kill,
    Serve,
    SetPlan,
    Start,
    Tell,
    Work,
)
from raydient.server.training.failures import LOSSES_WITHOUT_PROGRESS
from raydient.server.training.reports import (
    CheckpointTaken,
    EpochEnded,
    Finished,
    Notice,
    Outcome,
    Progress,
    Started,
)
from raydient.wire import control
from raydient.wire.control import Role
from raydient.wire.health import GradientHealth, LayerHealth
from raydient.wire.schedule import RoundKind, Schedule

SCHEDULE = Schedule(train_rows=100, test_rows=10, epochs=3, batch_size=40, microbatches=4)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def coordinator(clock):
    return Coordinator(
        schedule=SCHEDULE,
        workers=2,
        metric_names=("loss", "accuracy"),
        checkpoint_seconds=10.0,
        keep=2,
        learning_rate=0.1,
        clock=clock,
    )


def status(step, round_=None):
    return control.Status(
        round=step if round_ is None else round_,
        step=step,
        loss=0.5,
        phase_seconds={},
        step_seconds_buckets=[],
        step_seconds_sum=0.0,
        exchange_bytes={},
    )


def running(coordinator):
    """Bring a coordinator to the point where two workers, 1 and 2, are at work for parameter server 0."""
    coordinator.begin()
    for member in (0, 1, 2):
        coordinator.hello(member)
    return coordinator.attached(1) + coordinator.attached(2)


def reports(actions, kind):
    return [a.report for a in actions if isinstance(a, Tell) and isinstance(a.report, kind)]


def test_begins_with_one_parameter_server_and_the_workers(coordinator):
    assert coordinator.begin() == [
        Start(Role.PARAMETER_SERVER, 0, 0),
        Start(Role.WORKER, 1, 0),
        Start(Role.WORKER, 2, 0),
    ]


def test_workers_wait_for_the_parameter_server(coordinator):
    coordinator.begin()
    assert coordinator.hello(2) == []
    assert coordinator.hello(0) == [Serve(0), Work(2, place=1)]
    assert coordinator.hello(1) == [Work(1, place=0)]


def test_training_starts_when_the_last_worker_is_attached(coordinator):
    actions = running(coordinator)
    assert reports(actions, Started) == [Started(0, 2)]
    assert [a.plan for a in actions if isinstance(a, SetPlan)] == [control.Plan(1, [1, 2], [1.0, 1.0])]


def test_progress_tells_where_training_is(coordinator, clock):
    running(coordinator)
    clock.now += 2
    # 100 rows in steps of 40: an epoch is 3 steps and one evaluation, and step 4 is the first of the second epoch
    (progress,) = reports(coordinator.status(status(step=4, round_=5)), Progress)
    assert (progress.step, progress.steps, progress.epoch, progress.epochs) == (4, 9, 1, 3)
    assert (progress.samples, progress.samples_per_second) == (140, 70.0)
    assert (progress.workers_alive, progress.workers_wanted) == (2, 2)


def test_epoch_means_are_sums_over_rows(coordinator, clock):
    running(coordinator)
    clock.now += 3
    (ended,) = reports(coordinator.epoch(control.EpochDone(0, 3, [100, 50.0, 80.0], [10, 4.0, 9.0])), EpochEnded)
    assert ended == EpochEnded(
        1, 3, 3.0, {"train": {"loss": 0.5, "accuracy": 0.8}, "test": {"loss": 0.4, "accuracy": 0.9}}
    )


def test_a_lost_worker_is_replaced_and_the_others_go_on(coordinator):
    running(coordinator)
    actions = coordinator.lost(2, "killed by SIGKILL")
    assert [a for a in actions if isinstance(a, (Start, Kill))] == [Start(Role.WORKER, 3, 0)]
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 2: killed by SIGKILL")]
    assert coordinator.hello(3) == [Work(3, place=1)], "it takes the place of the one it replaces"
    joined = coordinator.attached(3)
    assert [a.plan for a in joined if isinstance(a, SetPlan)] == [control.Plan(2, [1, 3], [1.0, 1.0])]
    (progress,) = reports(coordinator.status(status(1)), Progress)
    assert progress.restarts == {"worker": 1, "parameter_server": 0}


def test_a_lost_parameter_server_rolls_everything_back_under_a_new_generation(coordinator):
    running(coordinator)
    actions = coordinator.lost(0, "killed by SIGKILL")
    assert [a for a in actions if isinstance(a, (Start, Kill))] == [
        Kill(1),
        Kill(2),
        Start(Role.PARAMETER_SERVER, 3, 1),
        Start(Role.WORKER, 4, 1),
        Start(Role.WORKER, 5, 1),
    ]


def test_losses_without_progress_end_the_job(coordinator):
    running(coordinator)
    for number in range(LOSSES_WITHOUT_PROGRESS):
        assert not reports(coordinator.lost(2 + number, "ended with status 1"), Finished)
        coordinator.hello(3 + number)
    (finished,) = reports(coordinator.lost(2 + LOSSES_WITHOUT_PROGRESS, "ended with status 1"), Finished)
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "WORKER_LOST")
    assert "ended with status 1" in finished.message
    assert coordinator.ended


def test_a_step_that_was_never_done_before_is_progress(coordinator):
    running(coordinator)
    for number in range(3 * LOSSES_WITHOUT_PROGRESS):
        assert not reports(coordinator.lost(2 + number, "ended with status 1"), Finished)
        coordinator.status(status(number + 1))


def test_the_same_step_again_is_no_progress(coordinator):
    running(coordinator)
    coordinator.status(status(1))
    server = 0
    for _ in range(LOSSES_WITHOUT_PROGRESS):
        actions = coordinator.lost(server, "ended with status 1")
        server = next(a.member for a in actions if isinstance(a, Start))
        coordinator.status(status(1))
    (finished,) = reports(coordinator.lost(server, "ended with status 1"), Finished)
    assert finished.reason == "PARAMETER_SERVER_LOST"


def test_a_silent_process_is_given_up(coordinator, clock):
    coordinator.begin()
    for member in (0, 1):
        coordinator.hello(member)
    clock.now += START_SECONDS
    assert coordinator.tick() == []
    clock.now += 1
    actions = coordinator.tick()
    assert [a for a in actions if isinstance(a, (Start, Kill))] == [Kill(2), Start(Role.WORKER, 3, 0)]


def test_a_checkpoint_is_asked_for_when_it_is_due_and_there_is_something_new(coordinator, clock):
    running(coordinator)
    clock.now += 11
    assert coordinator.tick() == []
    coordinator.status(status(5))
    assert coordinator.tick() == [AskSnapshot(final=False)]
    assert coordinator.tick() == [], "one at a time"
    assert reports(coordinator.saved(5, 0.1, 400), CheckpointTaken) == [CheckpointTaken(5, 0.1, 400)]
    clock.now += 11
    assert coordinator.tick() == [], "nothing new"
    coordinator.status(status(6))
    assert coordinator.tick() == [AskSnapshot(final=False)]


def test_an_interruption_takes_a_checkpoint(coordinator):
    running(coordinator)
    assert coordinator.interrupt() == [AskSnapshot(final=True)]
    assert coordinator.interrupt() == []
    coordinator.saved(5, 0.1, 400)
    (finished,) = reports(coordinator.completed(5, ""), Finished)
    assert (finished.outcome, finished.step, finished.digest) == (Outcome.INTERRUPTED, 5, "")


def test_an_interruption_before_the_start_ends_at_once(coordinator):
    coordinator.begin()
    (finished,) = reports(coordinator.interrupt(), Finished)
    assert finished.outcome is Outcome.INTERRUPTED


def test_a_cancellation_ends_at_once(coordinator):
    running(coordinator)
    (finished,) = reports(coordinator.cancel(), Finished)
    assert finished.outcome is Outcome.CANCELLED
    assert coordinator.cancel() == []


def test_completion_carries_the_digest(coordinator):
    running(coordinator)
    (finished,) = reports(coordinator.completed(9, "abc"), Finished)
    assert (finished.outcome, finished.step, finished.digest) == (Outcome.SUCCEEDED, 9, "abc")


@pytest.mark.parametrize(
    ("saved", "kept", "discarded"),
    [
        ([], "there is no good checkpoint", []),
        ([6], "the checkpoint of step 6 is kept", []),
        ([3, 6], "the checkpoint of step 6 is kept", []),
        ([3, 7], "the checkpoint of step 3 is kept", [Discard(7)]),
        ([7], "there is no good checkpoint", [Discard(7)]),
    ],
)
def test_divergence_names_step_layer_and_what_is_kept(coordinator, saved, kept, discarded):
    running(coordinator)
    for step in saved:
        coordinator.saved(step, 0.1, 400)
    actions = coordinator.diverged(control.NonFinite(RoundKind.TRAIN, 7, float("nan"), "dense_2.kernel", finite=False))
    (finished,) = reports(actions, Finished)
    assert (finished.outcome, finished.reason, finished.step) == (Outcome.FAILED, "NON_FINITE", 7)
    assert finished.message == (
        f"loss nan at step 7; the first gradient that is not finite is that of layer dense_2 (kernel); {kept}"
    )
    assert [action for action in actions if isinstance(action, Discard)] == discarded


def test_a_loss_that_overflows_first_names_the_largest_gradient(coordinator):
    running(coordinator)
    found = control.NonFinite(RoundKind.TRAIN, 7, float("inf"), "dense_1.bias", finite=True)
    (finished,) = reports(coordinator.diverged(found), Finished)
    assert (
        "loss inf at step 7; all gradients are finite, the largest is that of layer dense_1 (bias)" in finished.message
    )


def test_a_loss_that_overflows_on_the_held_out_part_ends_the_job_too(coordinator):
    running(coordinator)
    found = control.NonFinite(RoundKind.EVALUATE, 6, float("inf"), "", finite=True)
    (finished,) = reports(coordinator.diverged(found), Finished)
    assert finished.message == "loss inf on the held-out part after 6 steps; there is no good checkpoint"


def test_the_layers_of_a_step_that_diverges_are_told(coordinator):
    running(coordinator)
    layers = [LayerHealth(f"dense_{n}", math.nan, None, n) for n in range(LAYERS_NAMED + 2)]
    (progress,) = reports(
        coordinator.status(replace(status(step=6), health=GradientHealth(7, tuple(layers)))), Progress
    )
    assert progress.gradient_health == GradientHealth(7, tuple(layers))
    found = control.NonFinite(RoundKind.TRAIN, 6, math.nan, "dense_2.kernel", finite=False)
    (finished,) = reports(coordinator.diverged(found), Finished)
    named = ", ".join(f"dense_{n} {n}" for n in range(2, LAYERS_NAMED + 2))
    assert f"(kernel); values that are not finite: {named}, 1 more layers; there is" in finished.message


def test_health_outlives_the_parameter_server_that_measured_it(coordinator):
    running(coordinator)
    health = GradientHealth(4, (LayerHealth("dense_1", 0.5, 0.001, 0),))
    coordinator.status(replace(status(step=4), health=health))
    coordinator.lost(0, "killed")
    (progress,) = reports(coordinator.status(status(step=2)), Progress)
    assert progress.gradient_health == health


def test_each_epoch_is_told_once_whatever_is_computed_again(coordinator):
    running(coordinator)
    for epoch in range(2):
        coordinator.epoch(control.EpochDone(epoch, 3 * (epoch + 1), [100, 50.0, 80.0], []))
    assert reports(coordinator.epoch(control.EpochDone(1, 6, [100, 50.0, 80.0], [])), EpochEnded) == []
    (third,) = reports(coordinator.epoch(control.EpochDone(2, 9, [100, 50.0, 80.0], [])), EpochEnded)
    assert third.epoch == 3
    assert [epoch.epoch for epoch in coordinator.history] == [1, 2, 3]


def test_a_resumed_run_tells_its_past_and_goes_on(coordinator):
    running(coordinator)
    past = [EpochEnded(n, 3 * n, 1.0, {"train": {"loss": 0.5}}) for n in (1, 2)]
    assert reports(coordinator.resumed([3, 6], past), EpochEnded) == past
    (third,) = reports(coordinator.epoch(control.EpochDone(2, 9, [100, 50.0, 80.0], [])), EpochEnded)
    assert third.epoch == 3
    assert reports(coordinator.resumed([9], [*past, third]), EpochEnded) == []
