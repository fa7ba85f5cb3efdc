"""The coordinator's decisions, without sockets, processes or time."""

import math

import pytest

from raydient.server.clusters.cluster import OUT_OF_MEMORY
from raydient.server.training.actions import (
    AskSnapshot,
    Discard,
    Dismiss,
    Kill,
    Pause,
    Ping,
    SaveAgain,
    Serve,
    SetPlan,
    Start,
    Tell,
    Work,
)
from raydient.server.training.coordinator import HURRY_SECONDS, START_SECONDS, Coordinator
from raydient.server.training.divergence import LAYERS_NAMED
from raydient.server.training.failures import FIRST_PAUSE_SECONDS, LOSSES_WITHOUT_PROGRESS, OWN_FAULTS, TOGETHER_SECONDS
from raydient.server.training.reports import (
    CheckpointTaken,
    EpochEnded,
    Finished,
    Notice,
    Outcome,
    Progress,
    Started,
    Waiting,
)
from raydient.server.training.saving import COMPLETE_SECONDS, PAUSED_SECONDS
from raydient.server.training.shortage import SHORT_SECONDS
from raydient.steps.measurements import GradientHealth, LayerHealth, Measurements
from raydient.steps.schedule import RoundKind, Schedule
from raydient.wire import control
from raydient.wire.control import Role

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
def make_coordinator(clock):
    def make(workers=2, minimum=2, last_epoch=0, checkpoint_seconds=10.0):
        return Coordinator(
            schedule=SCHEDULE,
            workers=workers,
            minimum=minimum,
            finish=lambda sums: {"loss": sums[1] / sums[0], "accuracy": sums[2] / sums[0]},
            checkpoint_seconds=checkpoint_seconds,
            keep=2,
            clock=clock,
            last_epoch=last_epoch,
        )

    return make


@pytest.fixture
def coordinator(make_coordinator):
    return make_coordinator()


def status(step, round_=None, health=None):
    return control.Status(
        round=step if round_ is None else round_,
        step=step,
        measurements=Measurements(loss=0.5, learning_rate=0.1, gradient_health=health),
    )


def running(coordinator):
    """Bring a coordinator to the point where two workers, 1 and 2, are at work for parameter server 0."""
    coordinator.begin()
    for member in (0, 1, 2):
        coordinator.hello(member)
    return coordinator.attached(1) + coordinator.attached(2)


def running_with(coordinator):
    """The same with as many workers as it wants, from 1 on."""
    workers = [a.member for a in coordinator.begin() if a.role is Role.WORKER]
    for member in (0, *workers):
        coordinator.hello(member)
    for worker in workers:
        coordinator.attached(worker)
    return coordinator


def plans(actions):
    return [a.plan for a in actions if isinstance(a, SetPlan)]


def changes(actions):
    return [a for a in actions if isinstance(a, (Start, Kill))]


def starts(actions):
    return [action for action in actions if isinstance(action, Start)]


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
    assert coordinator.hello(0) == [Serve(0), Work(2, place=1, workers=2)]
    assert coordinator.hello(1) == [Work(1, place=0, workers=2)]


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


def done(*epochs):
    """Tells that epochs are complete: numbers from 0 on."""
    return control.EpochsDone([control.EpochSums(n, 3 * (n + 1), 0.5, [100, 50.0, 80.0], []) for n in epochs])


def test_epoch_means_are_sums_over_rows(coordinator):
    running(coordinator)
    message = control.EpochsDone([control.EpochSums(0, 3, 3.0, [100, 50.0, 80.0], [10, 4.0, 9.0])])
    (ended,) = reports(coordinator.epochs(message), EpochEnded)
    assert ended == EpochEnded(
        1, 3, 3.0, {"train": {"loss": 0.5, "accuracy": 0.8}, "test": {"loss": 0.4, "accuracy": 0.9}}
    )


def test_a_lost_worker_is_replaced_and_the_others_go_on(coordinator):
    running(coordinator)
    actions = coordinator.lost(2, "killed by SIGKILL")
    assert [a for a in actions if isinstance(a, (Start, Kill))] == [Start(Role.WORKER, 3, 0)]
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 2: killed by SIGKILL")]
    assert coordinator.hello(3) == [Work(3, place=1, workers=2)], "it takes the place of the one it replaces"
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


def test_an_overdue_worker_is_dismissed_killed_and_replaced(coordinator):
    running(coordinator)
    actions = coordinator.overdue(control.Overdue(7, {2: 6.2}))
    assert [a for a in actions if isinstance(a, (Start, Kill, Dismiss))] == [
        Kill(2), Dismiss(2), Start(Role.WORKER, 3, 0)
    ]  # fmt: skip
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 2: silent for 6 seconds in round 7")]
    assert coordinator.overdue(control.Overdue(7, {2: 7.2})) == [], "it is told until it has taken effect"


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
    assert Start(Role.WORKER, 3, 0) in coordinator.lost(2, OUT_OF_MEMORY)
    for number in range(1, LOSSES_WITHOUT_PROGRESS):
        clock.now += TOGETHER_SECONDS
        assert not starts(coordinator.lost(2 + number, OUT_OF_MEMORY))
        clock.now += FIRST_PAUSE_SECONDS * 2 ** (number - 1) - 0.01
        assert not starts(coordinator.tick())
        clock.now += 0.01
        assert starts(coordinator.tick()) == [Start(Role.WORKER, 3 + number, 0)]
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
    assert [start.role for start in starts(coordinator.tick())] == [Role.PARAMETER_SERVER, Role.WORKER, Role.WORKER]


def test_what_is_lost_together_is_one_mishap(make_coordinator):
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
    assert changes(coordinator.tick()) == [Kill(2), Start(Role.WORKER, 3, 0)]


def test_what_comes_after_the_end_is_not_told(coordinator):
    running(coordinator)
    coordinator.lost(2, "killed by SIGKILL")
    coordinator.hello(3)
    coordinator.completed(9, "abc")
    assert coordinator.attached(3) == coordinator.tick() == coordinator.scale(1, 1) == []


def test_a_member_that_the_cluster_has_no_place_for_is_not_silent(coordinator, clock):
    coordinator.begin()
    for member in (0, 1):
        coordinator.hello(member)
    for _ in range(3):
        clock.now += START_SECONDS
        assert changes(coordinator.tick(unplaced=[2])) == []
    clock.now += START_SECONDS + 1
    assert changes(coordinator.tick()) == [Kill(2), Start(Role.WORKER, 3, 0)]


def test_more_workers_are_started_and_join_when_they_are_there(coordinator):
    running(coordinator)
    assert changes(coordinator.scale(4, 2)) == [Start(Role.WORKER, 3, 0), Start(Role.WORKER, 4, 0)]
    assert coordinator.scale(4, 2) == [], "harmless when repeated"
    assert coordinator.hello(4) == [Work(4, place=3, workers=4)]
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


def test_too_few_workers_for_too_long_stand_still_and_say_so(coordinator, clock):
    running(coordinator)
    coordinator.status(status(1))
    coordinator.lost(2, "its machine is gone")
    clock.now += SHORT_SECONDS - 1
    assert plans(coordinator.tick(unplaced=[3])) == []
    clock.now += 1
    standing = coordinator.tick(unplaced=[3])
    assert [plan.workers for plan in plans(standing)] == [[]]
    assert reports(standing, Waiting) == [Waiting("1 of at least 2 workers attached; training waits for the others")]
    assert coordinator.tick(unplaced=[3]) == [], "told once"
    coordinator.hello(3)
    again = coordinator.attached(3)
    assert [plan.workers for plan in plans(again)] == [[1, 3]]
    assert reports(again, Waiting) == [Waiting("")]
    clock.now += SHORT_SECONDS
    assert reports(coordinator.tick(), Waiting) == []


def test_a_job_that_stands_still_says_when_it_goes_on_after_a_rollback_too(coordinator, clock):
    running(coordinator)
    coordinator.lost(2, "its machine is gone")
    clock.now += SHORT_SECONDS
    assert reports(coordinator.tick(unplaced=[3]), Waiting)
    coordinator.lost(0, "its machine is gone")
    clock.now += FIRST_PAUSE_SECONDS
    server, *workers = [a.member for a in coordinator.tick() if isinstance(a, Start)]
    for member in (server, *workers):
        coordinator.hello(member)
    actions = coordinator.attached(workers[0]) + coordinator.attached(workers[1])
    assert [plan.workers for plan in plans(actions)] == [workers]
    assert reports(actions, Waiting) == [Waiting("")]


def test_fewer_wanted_lets_a_job_that_stands_still_go_on(coordinator, clock):
    running(coordinator)
    coordinator.lost(2, "its machine is gone")
    clock.now += SHORT_SECONDS
    coordinator.tick(unplaced=[3])
    actions = coordinator.scale(1, 1)
    assert changes(actions) == [Kill(3)]
    assert [plan.workers for plan in plans(actions)] == [[1]]
    assert reports(actions, Waiting) == [Waiting("")]


def test_a_checkpoint_is_asked_for_when_it_is_due_and_there_is_something_new(coordinator, clock):
    running(coordinator)
    clock.now += 11
    assert coordinator.tick() == []
    coordinator.status(status(5))
    assert coordinator.tick() == [AskSnapshot()]
    assert coordinator.tick() == [], "one at a time"
    assert reports(coordinator.saved(5, 0.1, 400), CheckpointTaken) == [CheckpointTaken(5, 0.1, 400)]
    clock.now += 11
    assert coordinator.tick() == [], "nothing new"
    coordinator.status(status(6))
    assert coordinator.tick() == [AskSnapshot()]


def failed(coordinator, step, **kind):
    """Writing the checkpoint of a step fails; what is told."""
    kind = {"final": False, "complete": False} | kind
    (notice,) = reports(coordinator.save_failed(step, "no room", **kind), Notice)
    assert notice.reason == "CHECKPOINT_FAILED"
    return notice.message


def seconds_until(coordinator, clock, action):
    """Whole seconds until `tick` gives this action."""
    for seconds in range(2000):
        if action in coordinator.tick():
            return seconds
        clock.now += 1
    raise AssertionError("it never does")


def test_a_checkpoint_that_cannot_be_written_is_tried_again_while_training_goes_on(make_coordinator, clock):
    coordinator = running_with(make_coordinator(checkpoint_seconds=60.0))
    coordinator.status(status(5))
    waits = []
    for step in range(5, 10):
        waits.append(seconds_until(coordinator, clock, AskSnapshot()))
        coordinator.status(status(step + 1))
        assert not coordinator.ended
        message = failed(coordinator, step)
    assert waits == [60, 10, 20, 40, 60], "it doubles up to the interval"
    assert message == ("the checkpoint of step 9 could not be written: no room; training goes on, next attempt in 60 s")
    coordinator.tick()
    coordinator.saved(10, 0.1, 400)
    coordinator.status(status(11))
    assert seconds_until(coordinator, clock, AskSnapshot()) == 60
    failed(coordinator, 11)
    assert seconds_until(coordinator, clock, AskSnapshot()) == 10, "the count begins again"


def test_after_a_rollback_a_snapshot_is_asked_for_again(coordinator, clock):
    running(coordinator)
    coordinator.status(status(5))
    assert seconds_until(coordinator, clock, AskSnapshot()) == 10
    coordinator.lost(0, "killed")
    for member in (3, 4, 5):
        coordinator.hello(member)
    for worker in (4, 5):
        coordinator.attached(worker)
    coordinator.status(status(6))
    assert AskSnapshot() in coordinator.tick()


def test_the_final_checkpoint_is_held_and_written_when_there_is_room(coordinator, clock):
    running(coordinator)
    coordinator.saved(6, 0.1, 400)
    assert "kept in memory" in failed(coordinator, 9, final=True, complete=True)
    # members end by themselves, and are not needed any more
    assert coordinator.lost(1, "ended") == coordinator.lost(0, "ended") == coordinator.scale(5, 1) == []
    waits = []
    for _ in range(6):
        waits.append(seconds_until(coordinator, clock, SaveAgain()))
        assert coordinator.tick() == [], "one at a time"
        failed(coordinator, 9, final=True, complete=True)
    assert waits == [1, 2, 4, 8, 10, 10]
    coordinator.saved(9, 0.1, 400)
    (finished,) = reports(coordinator.completed(9, "abc"), Finished)
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, "abc")


def give_up(coordinator, clock, step, complete):
    """Seconds until the final checkpoint is tried no longer, and the end."""
    began = clock.now
    while True:
        actions = coordinator.tick()
        if ends := reports(actions, Finished):
            return clock.now - began, ends[0]
        if SaveAgain() in actions:
            failed(coordinator, step, final=True, complete=complete)
        clock.now += 1


def test_a_final_checkpoint_that_is_given_up_fails_the_job_which_can_be_resumed(coordinator, clock):
    running(coordinator)
    coordinator.saved(6, 0.1, 400)
    failed(coordinator, 9, final=True, complete=True)
    seconds, finished = give_up(coordinator, clock, 9, complete=True)
    assert seconds == COMPLETE_SECONDS
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "STORAGE")
    assert "STORAGE" not in OWN_FAULTS
    assert finished.message == (
        "training is complete, but the checkpoint of step 9 could not be written: no room; "
        "it goes on from the checkpoint of step 6 when it is resumed"
    )


def test_a_pause_whose_checkpoint_cannot_be_written_ends_at_the_one_before(coordinator, clock):
    running(coordinator)
    coordinator.saved(6, 0.1, 400)
    coordinator.pause()
    failed(coordinator, 8, final=True)
    seconds, finished = give_up(coordinator, clock, 8, complete=False)
    assert seconds == PAUSED_SECONDS
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, 6)
    assert finished.message == (
        "the checkpoint of step 8 could not be written: no room; it goes on from the checkpoint of step 6"
    )


def test_a_pause_shortens_the_wait_for_the_final_checkpoint(coordinator, clock):
    running(coordinator)
    failed(coordinator, 9, final=True, complete=True)
    clock.now += 100
    assert coordinator.pause() == coordinator.pause() == []
    seconds, finished = give_up(coordinator, clock, 9, complete=True)
    assert seconds == PAUSED_SECONDS
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, 0)
    assert finished.message.endswith("it goes on from the beginning")


def test_a_cancellation_does_not_wait_for_the_final_checkpoint(coordinator):
    running(coordinator)
    failed(coordinator, 9, final=True, complete=True)
    (finished,) = reports(coordinator.cancel(), Finished)
    assert finished.outcome is Outcome.CANCELLED


def test_a_pause_takes_a_checkpoint(coordinator):
    running(coordinator)
    assert coordinator.pause() == [Pause()]
    assert coordinator.pause() == []
    coordinator.saved(5, 0.1, 400)
    (finished,) = reports(coordinator.completed(5, ""), Finished)
    assert (finished.outcome, finished.step, finished.digest) == (Outcome.PAUSED, 5, "")


def test_a_pause_does_not_wait_long_for_the_open_round(coordinator, clock):
    running(coordinator)
    coordinator.pause()
    clock.now += HURRY_SECONDS - 1
    assert coordinator.tick() == []
    clock.now += 1
    assert coordinator.tick() == [Pause(at_once=True)]
    clock.now += HURRY_SECONDS
    assert coordinator.tick() == []


def test_a_pause_ends_without_a_parameter_server(coordinator):
    running(coordinator)
    coordinator.status(status(4))
    coordinator.pause()
    (finished,) = reports(coordinator.lost(0, "killed by SIGKILL"), Finished)
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, 0), "the step of the last checkpoint"


def silence(coordinator, clock, answering, seconds=7):
    """So many seconds in which these members answer their pings; what the coordinator decides meanwhile."""
    actions = []
    for _ in range(seconds):
        clock.now += 1
        for action in coordinator.tick():
            if isinstance(action, Ping):
                if action.member in answering:
                    coordinator.answered(action.member)
            else:
                actions.append(action)
    return actions


@pytest.fixture
def pinged(coordinator):
    """Two workers, 1 and 2, at work for parameter server 0, all with lifelines."""
    running(coordinator)
    for member in (0, 1, 2):
        coordinator.answered(member)
    return coordinator


def test_a_worker_that_does_not_answer_is_killed_and_replaced(pinged, clock):
    actions = silence(pinged, clock, {0, 1})
    assert changes(actions) == [Kill(2), Start(Role.WORKER, 3, 0)]
    assert reports(actions, Notice) == [Notice("WORKER_LOST", "worker 2: no answer for 6 seconds")]


def test_a_parameter_server_that_does_not_answer_is_one_that_is_lost(pinged, clock):
    actions = silence(pinged, clock, {1, 2})
    assert changes(actions)[:3] == [Kill(0), Kill(1), Kill(2)]
    assert changes(actions)[3] == Start(Role.PARAMETER_SERVER, 3, 1)


def test_members_that_answer_may_work_for_long(pinged, clock):
    assert silence(pinged, clock, {0, 1, 2}, seconds=8) == []


def test_a_pause_does_not_wait_for_a_parameter_server_that_does_not_answer(pinged, clock):
    pinged.pause()
    actions = silence(pinged, clock, set())
    (finished,) = reports(actions, Finished)
    assert finished.outcome is Outcome.PAUSED, "although no member answers"


def test_a_pause_before_the_start_ends_at_once(coordinator):
    coordinator.begin()
    (finished,) = reports(coordinator.pause(), Finished)
    assert finished.outcome is Outcome.PAUSED


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
    (progress,) = reports(coordinator.status(status(6, health=GradientHealth(7, tuple(layers)))), Progress)
    assert progress.measurements.gradient_health == GradientHealth(7, tuple(layers))
    found = control.NonFinite(RoundKind.TRAIN, 6, math.nan, "dense_2.kernel", finite=False)
    (finished,) = reports(coordinator.diverged(found), Finished)
    named = ", ".join(f"dense_{n} {n}" for n in range(2, LAYERS_NAMED + 2))
    assert f"(kernel); values that are not finite: {named}, 1 more layers; there is" in finished.message


def test_health_outlives_the_parameter_server_that_measured_it(coordinator):
    running(coordinator)
    health = GradientHealth(4, (LayerHealth("dense_1", 0.5, 0.001, 0),))
    coordinator.status(status(4, health=health))
    coordinator.lost(0, "killed")
    (progress,) = reports(coordinator.status(status(step=2)), Progress)
    assert progress.measurements.gradient_health == health


def test_each_epoch_is_told_once_whatever_is_computed_again(coordinator):
    running(coordinator)
    assert [ended.epoch for ended in reports(coordinator.epochs(done(0, 1)), EpochEnded)] == [1, 2]
    assert [ended.epoch for ended in reports(coordinator.epochs(done(1, 2)), EpochEnded)] == [3]


def test_epochs_that_an_earlier_run_told_are_not_told_again(make_coordinator):
    coordinator = make_coordinator(last_epoch=2)
    running(coordinator)
    coordinator.resumed([3, 6])
    assert [ended.epoch for ended in reports(coordinator.epochs(done(1, 2)), EpochEnded)] == [3]
