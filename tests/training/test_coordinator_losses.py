"""The coordinator when processes are lost, silent or overdue."""

from raydient.server.clusters.cluster import OUT_OF_MEMORY
from raydient.server.training.actions import (
    Dismiss,
    Kill,
    Leave,
    Serve,
    SetPlan,
    Start,
    Work,
)
from raydient.server.training.failures import (
    FIRST_PAUSE_SECONDS,
    LOSSES_WITHOUT_PROGRESS,
    TOGETHER_SECONDS,
)
from raydient.server.training.generations import DECISION_SECONDS, RETURN_SECONDS, START_SECONDS
from raydient.server.training.reports import (
    Finished,
    Notice,
    Outcome,
    Progress,
)
from raydient.wire import control
from raydient.wire.control import Role

from .coordinating import changes, plans, reports, running, running_with, saved, silence, starts, status


def test_a_lost_worker_is_replaced_and_the_others_go_on(coordinator):
    running(coordinator)
    actions = coordinator.lost(2, "killed by SIGKILL")
    assert [a for a in actions if isinstance(a, (Start, Kill))] == [Start(Role.WORKER, 3)]
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 2: killed by SIGKILL")]
    assert coordinator.hello(3) == [Work(3, place=1, workers=2, generation=0)], (
        "it takes the place of the one it replaces"
    )
    joined = coordinator.attached(3)
    assert [a.plan for a in joined if isinstance(a, SetPlan)] == [control.Plan(2, [1, 3], [1.0, 1.0])]
    (progress,) = reports(coordinator.status(status(1)), Progress)
    assert progress.restarts == {"worker": 1, "parameter_server": 0}


def test_a_lost_parameter_server_is_replaced_and_the_workers_come_back_in_a_new_generation(coordinator):
    running(coordinator)
    assert changes(coordinator.lost(0, "killed by SIGKILL")) == [Start(Role.PARAMETER_SERVER, 3)]
    assert coordinator.returned(1, left=0) == []
    assert coordinator.hello(3) == [Serve([3], 1), Work(1, place=0, workers=2, generation=1, has_data=True)]
    assert coordinator.returned(2, left=0) == [Work(2, place=1, workers=2, generation=1, has_data=True)]
    coordinator.attached(1)
    assert [plan.workers for plan in plans(coordinator.attached(2))] == [[1, 2]]


def test_a_worker_that_notices_the_loss_of_a_server_before_the_coordinator_is_a_survivor(coordinator):
    running(coordinator)
    assert coordinator.returned(1, left=0) == [Dismiss(1)]
    assert coordinator.attached(1) == [Dismiss(1)], "an earlier message of the server"
    assert changes(coordinator.lost(0, "killed by SIGKILL")) == [Start(Role.PARAMETER_SERVER, 3)]
    assert [a.member for a in coordinator.hello(3) if isinstance(a, Work)] == [1]


def test_a_worker_that_has_lost_its_connection_although_no_server_is_lost_is_replaced(coordinator, clock):
    running(coordinator)
    coordinator.returned(1, left=0)
    clock.now += DECISION_SECONDS
    assert changes(coordinator.tick()) == []
    clock.now += 0.1
    actions = coordinator.tick()
    assert changes(actions) == [Kill(1), Start(Role.WORKER, 3)]
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 1: its connection to a parameter server ended")]


def test_a_survivor_that_does_not_come_back_is_replaced_as_a_part_of_the_same_loss(coordinator, clock):
    running(coordinator)
    coordinator.lost(0, "its machine is gone")
    clock.now += RETURN_SECONDS
    assert changes(coordinator.tick()) == []
    coordinator.returned(1, left=0)
    clock.now += 0.1
    actions = coordinator.tick()
    assert changes(actions) == [Kill(2), Start(Role.WORKER, 4)], "at once: the loss before is not counted again"
    (notice,) = reports(actions, Notice)
    assert notice.message == "worker 2: not back within 3 seconds to begin again at a checkpoint"


def test_messages_of_a_survivor_count_again_when_it_has_introduced_itself(make_coordinator):
    coordinator = make_coordinator(1, 1, servers=2)
    coordinator.begin()
    for member in (0, 1, 2):
        coordinator.hello(member)
    assert coordinator.hears(0)
    assert Leave(0) in coordinator.lost(1, "killed by SIGKILL")
    assert not coordinator.hears(0)
    coordinator.returned(0, left=0)
    assert coordinator.hears(0)
    assert not coordinator.hears(1)


def test_a_worker_about_to_leave_is_ended_by_a_rollback(make_coordinator):
    coordinator = running_with(make_coordinator(2, 1))
    coordinator.scale(1, 1)
    assert changes(coordinator.lost(0, "killed by SIGKILL")) == [Kill(2), Start(Role.PARAMETER_SERVER, 3)]


def test_an_overdue_worker_is_dismissed_killed_and_replaced(coordinator):
    running(coordinator)
    actions = coordinator.overdue(control.Overdue(7, {2: 6.2}))
    assert [a for a in actions if isinstance(a, (Start, Kill, Dismiss))] == [
        Kill(2), Dismiss(2), Start(Role.WORKER, 3)
    ]  # fmt: skip
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 2: silent for 6 seconds in round 7")]
    assert coordinator.overdue(control.Overdue(7, {2: 7.2})) == [], "the message is repeated until it has taken effect"


def test_an_overdue_worker_that_was_about_to_leave_is_not_replaced(make_coordinator):
    coordinator = running_with(make_coordinator(3, 1))
    coordinator.scale(2, 1)
    assert coordinator.overdue(control.Overdue(7, {3: 6.2})) == [Kill(3), Dismiss(3)]


def test_a_worker_that_has_not_attached_needs_no_dismissal(coordinator):
    running(coordinator)
    coordinator.lost(2, "killed by SIGKILL")
    assert Dismiss(3) not in coordinator.lost(3, "killed by SIGKILL")


def test_losses_without_progress_end_the_job(coordinator, clock):
    running(coordinator)
    for number in range(LOSSES_WITHOUT_PROGRESS):
        clock.now += TOGETHER_SECONDS
        assert not reports(coordinator.lost(2 + number, "ended with status 1"), Finished)
        clock.now += 4 * FIRST_PAUSE_SECONDS
        coordinator.tick()
        coordinator.hello(3 + number)
    clock.now += TOGETHER_SECONDS
    (finished,) = reports(coordinator.lost(2 + LOSSES_WITHOUT_PROGRESS, "ended with status 1"), Finished)
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "WORKER_LOST")
    assert "ended with status 1" in finished.message
    assert coordinator.ended


def test_processes_that_are_lost_again_are_started_after_a_pause(coordinator, clock):
    running(coordinator)
    assert Start(Role.WORKER, 3) in coordinator.lost(2, OUT_OF_MEMORY)
    for number in range(1, LOSSES_WITHOUT_PROGRESS):
        clock.now += TOGETHER_SECONDS
        assert not starts(coordinator.lost(2 + number, OUT_OF_MEMORY))
        clock.now += FIRST_PAUSE_SECONDS * 2 ** (number - 1) - 0.01
        assert not starts(coordinator.tick())
        clock.now += 0.01
        assert starts(coordinator.tick()) == [Start(Role.WORKER, 3 + number)]
        assert not starts(coordinator.tick())
    clock.now += TOGETHER_SECONDS
    (finished,) = reports(coordinator.lost(2 + LOSSES_WITHOUT_PROGRESS, OUT_OF_MEMORY), Finished)
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "OUT_OF_MEMORY")
    assert OUT_OF_MEMORY in finished.message


def test_a_parameter_server_that_is_lost_again_is_started_after_a_pause(coordinator, clock):
    running(coordinator)
    server = starts(coordinator.lost(0, "ended with status 1"))[0].member
    clock.now += TOGETHER_SECONDS
    assert not starts(coordinator.lost(server, "ended with status 1"))
    clock.now += FIRST_PAUSE_SECONDS
    assert [start.role for start in starts(coordinator.tick())] == [Role.PARAMETER_SERVER]


def test_losses_at_one_time_count_once(make_coordinator):
    coordinator = running_with(make_coordinator(8, 1))
    for worker in range(1, 9):
        assert not reports(coordinator.lost(worker, "its machine is gone"), Finished)
    (progress,) = reports(coordinator.status(status(1)), Progress)
    assert (progress.workers_alive, progress.restarts["worker"]) == (0, 8)


def test_a_step_that_was_never_done_before_is_progress(coordinator, clock):
    running(coordinator)
    for number in range(3 * LOSSES_WITHOUT_PROGRESS):
        clock.now += TOGETHER_SECONDS
        assert not reports(coordinator.lost(2 + number, "ended with status 1"), Finished)
        coordinator.status(status(number + 1))


def test_the_same_step_again_is_no_progress(coordinator, clock):
    running(coordinator)
    coordinator.status(status(1))
    server = 0
    for _ in range(LOSSES_WITHOUT_PROGRESS):
        clock.now += TOGETHER_SECONDS
        actions = coordinator.lost(server, "ended with status 1")
        clock.now += 4 * FIRST_PAUSE_SECONDS
        actions += coordinator.tick()
        server = next(a.member for a in actions if isinstance(a, Start))
        coordinator.status(status(1))
    clock.now += TOGETHER_SECONDS
    (finished,) = reports(coordinator.lost(server, "ended with status 1"), Finished)
    assert finished.reason == "PARAMETER_SERVER_LOST"


def test_a_silent_process_is_given_up(coordinator, clock):
    coordinator.begin()
    for member in (0, 1):
        coordinator.hello(member)
    clock.now += START_SECONDS
    assert changes(coordinator.tick()) == []
    clock.now += 1
    assert changes(coordinator.tick()) == [Kill(2), Start(Role.WORKER, 3)]


def test_a_member_that_has_introduced_itself_has_to_answer_although_it_has_no_lifeline(coordinator, clock):
    coordinator.begin()
    for member in (0, 1):
        coordinator.hello(member)
        coordinator.answered(member)
    coordinator.hello(2)
    assert changes(silence(coordinator, clock, {0, 1})) == [Kill(2), Start(Role.WORKER, 3)]


def test_events_after_the_end_have_no_effect(coordinator):
    running(coordinator)
    coordinator.lost(2, "killed by SIGKILL")
    coordinator.hello(3)
    saved(coordinator, 9, final=True, digest="abc")
    assert coordinator.attached(3) == coordinator.tick() == coordinator.scale(1, 1) == []


def test_a_member_that_the_cluster_has_no_place_for_is_not_silent(coordinator, clock):
    coordinator.begin()
    for member in (0, 1):
        coordinator.hello(member)
    for _ in range(3):
        clock.now += START_SECONDS
        assert changes(coordinator.tick(unplaced=[2])) == []
    clock.now += START_SECONDS + 1
    assert changes(coordinator.tick()) == [Kill(2), Start(Role.WORKER, 3)]


def test_a_worker_that_does_not_answer_is_killed_and_replaced(pinged, clock):
    actions = silence(pinged, clock, {0, 1})
    assert changes(actions) == [Kill(2), Start(Role.WORKER, 3)]
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 2: no answer for 6 seconds")]


def test_a_parameter_server_that_does_not_answer_is_one_that_is_lost(pinged, clock):
    actions = silence(pinged, clock, {1, 2})
    assert changes(actions) == [Kill(0), Start(Role.PARAMETER_SERVER, 3)]


def test_members_that_answer_may_work_for_long(pinged, clock):
    assert silence(pinged, clock, {0, 1, 2}, seconds=8) == []
