"""A job whose workers hold residuals: another division of the leaves, and any loss, takes another generation."""

import pytest

from raydient.server.training.actions import Ask, Kill, Leave, Save, Start
from raydient.server.training.progress import ProgressReports
from raydient.server.training.reports import Finished, Notice, Outcome
from raydient.server.training.residual_coordinator import ResidualCoordinator
from raydient.server.training.saving import HURRY_SECONDS, RETRY_SECONDS, Saving
from raydient.wire import control
from raydient.wire.control import Role

from .coordinating import SCHEDULE, due, plans, reports, running, running_with, saved, starts, status

SNAPSHOT = Ask(control.TakeSnapshot())


@pytest.fixture
def make(clock):
    def build(workers=2):
        return ResidualCoordinator(
            control.Scale(workers, 1),
            reports=ProgressReports(SCHEDULE, lambda sums: {}, clock),
            saving=Saving(1000.0, 2, clock),
            clock=clock,
        )

    return build


@pytest.fixture
def two(make):
    """Two workers, 1 and 2, at work for parameter server 0."""
    coordinator = make()
    running(coordinator)
    coordinator.status(status(1))
    return coordinator


def come_back(coordinator, *workers):
    """Bring server 0 and workers back after a generation; return the actions of the last worker."""
    coordinator.returned(0, left=0)
    for worker in workers:
        coordinator.returned(worker, left=0)
    return [coordinator.attached(worker) for worker in workers][-1]


def test_the_loss_of_a_worker_rolls_back(two):
    actions = two.lost(2, "killed by SIGKILL")
    assert Leave(0) in actions
    assert starts(actions) == [Start(Role.WORKER, 3)]
    assert not plans(actions)
    two.returned(0, left=0)
    two.returned(1, left=0)
    two.hello(3)
    two.attached(1)
    assert plans(two.attached(3)) == [control.Plan(2, [1, 3], [1.0, 1.0])]


def test_a_worker_that_joins_waits_for_a_checkpoint_and_another_generation(two):
    assert starts(two.scale(3, 1)) == [Start(Role.WORKER, 3)]
    two.hello(3)
    assert not plans(two.attached(3))
    assert due(two) == [SNAPSHOT]
    assert due(two) == []
    assert two.snapshot(1, "", final=False) == [Save()]
    assert Leave(0) in saved(two, 1)
    (plan,) = plans(come_back(two, 1, 2, 3))
    assert plan.workers == [1, 2, 3]
    assert due(two) == []


def test_a_change_waits_for_the_workers_that_are_starting(two):
    two.scale(4, 1)
    two.hello(3)
    two.attached(3)
    assert due(two) == []
    two.hello(4)
    two.attached(4)
    assert due(two) == [SNAPSHOT]


def test_a_checkpoint_that_was_due_meanwhile_begins_no_other_generation(two):
    two.scale(4, 1)
    two.hello(3)
    two.attached(3)
    assert Leave(0) not in saved(two, 1)
    two.hello(4)
    two.attached(4)
    assert due(two) == [SNAPSHOT]
    assert Leave(0) in saved(two, 2)


def test_an_order_to_scale_leaves_a_final_checkpoint_that_is_held_as_it_is(make):
    three = running_with(make(3))
    three.status(status(1))
    three.save_failed(1, "no room", final=True, complete=True)
    three.lost(2, "ended with status 0")
    assert three.scale(2, 1) == []


def test_workers_leave_at_a_checkpoint(make):
    three = running_with(make(3))
    three.status(status(1))
    assert not plans(three.scale(1, 1))
    assert due(three) == [SNAPSHOT]
    assert [a for a in saved(three, 1) if isinstance(a, Kill)] == [Kill(2), Kill(3)]
    (plan,) = plans(come_back(three, 1))
    assert plan.workers == [1]


def test_a_worker_that_is_about_to_leave_still_holds_residuals(make):
    three = running_with(make(3))
    three.status(status(1))
    three.scale(2, 1)
    assert Leave(0) in three.lost(3, "killed by SIGKILL")


def test_a_holder_that_is_ended_without_its_connection_takes_its_residuals_along(make):
    three = running_with(make(3))
    three.status(status(1))
    assert Leave(0) not in three.returned(2, left=0)
    actions = three.scale(2, 1)
    assert Kill(2) in actions
    assert Leave(0) in actions


def test_a_holder_that_is_ended_so_during_a_pause_ends_it_at_the_last_checkpoint(make):
    three = running_with(make(3))
    three.status(status(1))
    three.pause()
    three.returned(2, left=0)
    (finished,) = reports(three.scale(2, 1), Finished)
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, 0)


def test_a_worker_that_no_plan_names_is_replaced_alone(two):
    two.scale(3, 1)
    two.hello(3)
    two.attached(3)
    actions = two.lost(3, "killed by SIGKILL")
    assert Leave(0) not in actions
    assert starts(actions) == [Start(Role.WORKER, 4)]


def test_a_checkpoint_that_fails_is_taken_again_before_the_change(two, clock):
    two.scale(1, 1)
    assert due(two) == [SNAPSHOT]
    assert Leave(0) not in two.save_failed(1, "no room", final=False, complete=False)
    assert due(two) == []
    clock.now += RETRY_SECONDS
    assert SNAPSHOT in two.tick()
    assert Leave(0) in saved(two, 1)


def test_shares_do_not_follow_the_paces(two, clock):
    for step in range(2, 40):
        clock.now += 1
        computed = {1: control.Computed(2 * step, 0.1 * step), 2: control.Computed(2 * step, 5.0 * step)}
        assert not plans(two.status(status(step, computed=computed)))
    assert SNAPSHOT not in two.tick()


def test_a_pause_that_takes_long_ends_at_the_last_checkpoint(two, clock):
    two.pause()
    clock.now += HURRY_SECONDS
    (finished,) = reports(two.tick(), Finished)
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, 0)


def test_a_loss_during_a_pause_ends_at_the_last_checkpoint(two):
    two.pause()
    (finished,) = reports(two.lost(1, "killed by SIGKILL"), Finished)
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, 0)


def test_a_pause_during_a_change_is_a_pause(two):
    two.scale(1, 1)
    assert due(two) == [SNAPSHOT]
    two.pause()
    assert Leave(0) not in saved(two, 1)
    (finished,) = reports(saved(two, 2, final=True), Finished)
    assert finished.outcome is Outcome.PAUSED


def test_the_loss_is_reported_once(two):
    notices = reports(two.lost(2, "killed by SIGKILL"), Notice)
    assert notices == [Notice("WORKER_LOST", "worker 2: killed by SIGKILL")]
