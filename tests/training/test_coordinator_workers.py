"""The coordinator when workers start, join, leave or are too few."""

from raydient.server.training.actions import (
    Dismiss,
    Kill,
    Serve,
    SetPlan,
    Start,
    Work,
)
from raydient.server.training.failures import (
    FIRST_PAUSE_SECONDS,
)
from raydient.server.training.reports import (
    Notice,
    Progress,
    Started,
    Waiting,
)
from raydient.server.training.roster import SHORT_SECONDS
from raydient.wire import control
from raydient.wire.control import Role

from .coordinating import changes, plans, reports, running, running_with, status


def test_begins_with_one_parameter_server_and_the_workers(coordinator):
    assert coordinator.begin() == [
        Start(Role.PARAMETER_SERVER, 0),
        Start(Role.WORKER, 1),
        Start(Role.WORKER, 2),
    ]


def test_workers_wait_for_the_parameter_server(coordinator):
    coordinator.begin()
    assert coordinator.hello(2) == []
    assert coordinator.hello(0) == [Serve([0], 0), Work(2, place=1, workers=2, generation=0)]
    assert coordinator.hello(1) == [Work(1, place=0, workers=2, generation=0)]


def test_training_starts_when_the_last_worker_is_attached(coordinator):
    actions = running(coordinator)
    assert reports(actions, Started) == [Started(0, 2)]
    assert [a.plan for a in actions if isinstance(a, SetPlan)] == [control.Plan(1, [1, 2], [1.0, 1.0])]


def test_a_worker_that_attaches_after_it_was_given_up_is_dismissed(coordinator):
    coordinator.begin()
    for member in (0, 1, 2):
        coordinator.hello(member)
    coordinator.attached(1)
    coordinator.lost(2, "no answer for 6 seconds")
    assert coordinator.attached(2) == [Dismiss(2)]
    coordinator.hello(3)
    assert [plan.workers for plan in plans(coordinator.attached(3))] == [[1, 3]]
    assert coordinator.attached(2) == [Dismiss(2)]


def test_more_workers_are_started_and_join_when_they_are_there(coordinator):
    running(coordinator)
    assert changes(coordinator.scale(4, 2)) == [Start(Role.WORKER, 3), Start(Role.WORKER, 4)]
    assert coordinator.scale(4, 2) == [], "harmless when repeated"
    assert coordinator.hello(4) == [Work(4, place=3, workers=4, generation=0)]
    joined = coordinator.attached(4)
    assert plans(joined) == [control.Plan(2, [1, 2, 4], [1.0] * 3)]
    assert reports(joined, Notice) == [Notice("WORKER_JOINED", "worker 4 has joined, 3 at work")]


def test_a_worker_leaves_when_the_plan_without_it_is_in_force(make_coordinator):
    coordinator = running_with(make_coordinator(3, 3))
    coordinator.status(status(1))
    first = coordinator.scale(1, 1)
    assert changes(first) == []
    (plan,) = plans(first)
    assert plan.workers == [1], "the last places go first"
    assert reports(first, Progress)[-1].workers_wanted == 1
    assert coordinator.plan_in_force(plan.number - 1) == []
    gone = coordinator.plan_in_force(plan.number)
    assert changes(gone) == [Kill(3), Kill(2)] or changes(gone) == [Kill(2), Kill(3)]
    assert [notice.reason for notice in reports(gone, Notice)] == ["WORKER_LEFT"] * 2


def test_a_worker_that_is_not_at_work_yet_is_the_first_to_go(coordinator):
    running(coordinator)
    coordinator.scale(3, 2)
    assert changes(coordinator.scale(2, 2)) == [Kill(3)]


def test_one_that_leaves_and_dies_is_not_replaced(coordinator):
    running(coordinator)
    (plan,) = plans(coordinator.scale(1, 1))
    assert coordinator.lost(2, "killed by SIGKILL") == [Dismiss(2)]
    assert coordinator.plan_in_force(plan.number) == []


def test_training_sets_off_with_the_least_where_there_is_no_place_for_more(make_coordinator):
    coordinator = make_coordinator(4, 2)
    coordinator.begin()
    for member in (0, 1, 2):
        coordinator.hello(member)
    assert coordinator.attached(1) == coordinator.tick(unplaced=[3, 4]) == []
    actions = coordinator.attached(2)
    assert reports(actions, Started) == [Started(0, 2)]
    assert plans(actions) == [control.Plan(1, [1, 2], [1.0, 1.0])]
    coordinator.hello(3)
    assert plans(coordinator.attached(3)) == [control.Plan(2, [1, 2, 3], [1.0] * 3)]


def test_training_is_suspended_and_reported_with_too_few_workers_for_too_long(coordinator, clock):
    running(coordinator)
    coordinator.status(status(1))
    coordinator.lost(2, "its machine is gone")
    clock.now += SHORT_SECONDS - 1
    assert plans(coordinator.tick(unplaced=[3])) == []
    clock.now += 1
    standing = coordinator.tick(unplaced=[3])
    assert [plan.workers for plan in plans(standing)] == [[]]
    assert reports(standing, Waiting) == [Waiting("1 of at least 2 workers attached; training waits for the others")]
    assert coordinator.tick(unplaced=[3]) == [], "reported once"
    coordinator.hello(3)
    again = coordinator.attached(3)
    assert [plan.workers for plan in plans(again)] == [[1, 3]]
    assert reports(again, Waiting) == [Waiting("")]
    clock.now += SHORT_SECONDS
    assert reports(coordinator.tick(), Waiting) == []


def test_a_suspended_job_reports_that_it_goes_on_after_a_rollback_too(coordinator, clock):
    running(coordinator)
    coordinator.lost(2, "its machine is gone")
    clock.now += SHORT_SECONDS
    assert reports(coordinator.tick(unplaced=[3]), Waiting)
    coordinator.lost(0, "its machine is gone")
    clock.now += FIRST_PAUSE_SECONDS
    (server,) = [a.member for a in coordinator.tick() if isinstance(a, Start)]
    coordinator.returned(1, left=0)
    for member in (server, 3):
        coordinator.hello(member)
    actions = coordinator.attached(1) + coordinator.attached(3)
    assert [plan.workers for plan in plans(actions)] == [[1, 3]]
    assert reports(actions, Waiting) == [Waiting("")]


def test_a_lower_number_of_workers_lets_a_suspended_job_go_on(coordinator, clock):
    running(coordinator)
    coordinator.lost(2, "its machine is gone")
    clock.now += SHORT_SECONDS
    coordinator.tick(unplaced=[3])
    actions = coordinator.scale(1, 1)
    assert changes(actions) == [Kill(3)]
    assert [plan.workers for plan in plans(actions)] == [[1]]
    assert reports(actions, Waiting) == [Waiting("")]
