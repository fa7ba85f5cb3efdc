"""The coordinator when checkpoints are taken, fail, or end a run."""

from raydient.server.training.actions import Ask, Save
from raydient.server.training.own_faults import OWN_FAULTS
from raydient.server.training.reports import CheckpointTaken, Finished, Notice, Outcome
from raydient.server.training.saving import COMPLETE_SECONDS, HURRY_SECONDS, PAUSED_SECONDS
from raydient.wire import control

from .coordinating import due, reports, running, running_with, saved, seconds_until, silence, status


def test_a_checkpoint_is_asked_for_when_it_is_due_and_there_is_something_new(coordinator, clock):
    running(coordinator)
    clock.now += 11
    assert due(coordinator) == []
    coordinator.status(status(5))
    assert due(coordinator) == [Ask(control.TakeSnapshot())]
    assert due(coordinator) == [], "one at a time"
    assert reports(saved(coordinator, 5), CheckpointTaken) == [CheckpointTaken(5, 0.1, 400)]
    clock.now += 11
    assert due(coordinator) == [], "nothing new"
    coordinator.status(status(6))
    assert due(coordinator) == [Ask(control.TakeSnapshot())]


def failed(coordinator, step, **kind):
    """Note that writing the checkpoint of a step failed; return the message."""
    kind = {"final": False, "complete": False} | kind
    (notice,) = reports(coordinator.save_failed(step, "no room", **kind), Notice)
    assert notice.reason == "CHECKPOINT_FAILED"
    return notice.message


def test_a_checkpoint_that_cannot_be_written_is_tried_again_while_training_goes_on(make_coordinator, clock):
    coordinator = running_with(make_coordinator(checkpoint_seconds=60.0))
    coordinator.status(status(5))
    waits = []
    for step in range(5, 10):
        waits.append(seconds_until(coordinator, clock, Ask(control.TakeSnapshot())))
        coordinator.status(status(step + 1))
        assert not coordinator.ended
        message = failed(coordinator, step)
    assert waits == [60, 10, 20, 40, 60], "it doubles up to the interval"
    assert message == ("the checkpoint of step 9 could not be written: no room; training goes on, next attempt in 60 s")
    due(coordinator)
    saved(coordinator, 10)
    coordinator.status(status(11))
    assert seconds_until(coordinator, clock, Ask(control.TakeSnapshot())) == 60
    failed(coordinator, 11)
    assert seconds_until(coordinator, clock, Ask(control.TakeSnapshot())) == 10, "the count begins again"


def test_after_a_rollback_a_snapshot_is_asked_for_again(coordinator, clock):
    running(coordinator)
    coordinator.status(status(5))
    assert seconds_until(coordinator, clock, Ask(control.TakeSnapshot())) == 10
    coordinator.lost(0, "killed")
    coordinator.hello(3)
    for worker in (1, 2):
        coordinator.returned(worker, left=0)
        coordinator.attached(worker)
    coordinator.status(status(6))
    assert Ask(control.TakeSnapshot()) in due(coordinator)


def test_the_final_checkpoint_is_held_and_written_when_there_is_room(coordinator, clock):
    running(coordinator)
    saved(coordinator, 6)
    assert "kept in memory" in failed(coordinator, 9, final=True, complete=True)
    # members end by themselves, and are no longer needed
    assert coordinator.lost(1, "ended") == coordinator.lost(0, "ended") == coordinator.scale(5, 1) == []
    waits = []
    for _ in range(6):
        waits.append(seconds_until(coordinator, clock, Save()))
        assert due(coordinator) == [], "one at a time"
        failed(coordinator, 9, final=True, complete=True)
    assert waits == [1, 2, 4, 8, 10, 10]
    saved(coordinator, 9)
    (finished,) = reports(saved(coordinator, 9, final=True, digest="abc"), Finished)
    assert (finished.outcome, finished.digest) == (Outcome.SUCCEEDED, "abc")


def give_up(coordinator, clock, step, complete):
    """Return the seconds until the final checkpoint is given up, and the report of the end."""
    began = clock.now
    while True:
        actions = due(coordinator)
        if ends := reports(actions, Finished):
            return clock.now - began, ends[0]
        if Save() in actions:
            failed(coordinator, step, final=True, complete=complete)
        clock.now += 1


def test_a_final_checkpoint_that_is_given_up_fails_the_job_which_can_be_resumed(coordinator, clock):
    running(coordinator)
    saved(coordinator, 6)
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
    saved(coordinator, 6)
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
    assert coordinator.pause() == [Ask(control.Pause())]
    assert coordinator.pause() == []
    saved(coordinator, 5)
    (finished,) = reports(saved(coordinator, 5, final=True, digest=""), Finished)
    assert (finished.outcome, finished.step, finished.digest) == (Outcome.PAUSED, 5, "")


def test_a_pause_does_not_wait_long_for_the_open_round(coordinator, clock):
    running(coordinator)
    coordinator.pause()
    clock.now += HURRY_SECONDS - 1
    assert due(coordinator) == []
    clock.now += 1
    assert due(coordinator) == [Ask(control.Pause(at_once=True))]
    clock.now += HURRY_SECONDS
    assert due(coordinator) == []


def test_a_pause_ends_without_a_parameter_server(coordinator):
    running(coordinator)
    coordinator.status(status(4))
    coordinator.pause()
    (finished,) = reports(coordinator.lost(0, "killed by SIGKILL"), Finished)
    assert (finished.outcome, finished.step) == (Outcome.PAUSED, 0), "the step of the last checkpoint"


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
    (finished,) = reports(saved(coordinator, 9, final=True, digest="abc"), Finished)
    assert (finished.outcome, finished.step, finished.digest) == (Outcome.SUCCEEDED, 9, "abc")


def test_a_snapshot_is_saved_unless_a_parameter_is_not_finite(coordinator):
    running(coordinator)
    assert coordinator.snapshot(5, "", final=False) == [Save()]
    (finished,) = reports(coordinator.snapshot(6, "dense_1.kernel", final=True), Finished)
    assert (finished.outcome, finished.reason) == (Outcome.FAILED, "NON_FINITE")
    assert finished.message == "dense_1.kernel is not finite after step 6"
    assert coordinator.snapshot(7, "", final=True) == [], "the run has ended"


def test_workers_are_stopped_when_the_final_snapshot_has_arrived_and_their_ends_are_no_losses(coordinator):
    running(coordinator)
    assert coordinator.snapshot(9, "", final=True) == [Ask(control.Stop()), Save()]
    coordinator.save_failed(9, "disk full", final=True, complete=True)
    assert coordinator.lost(1, "ended with status 0") == []


def test_training_begins_at_the_newest_checkpoint(coordinator):
    coordinator.begin()
    notices = reports(coordinator.served(6, [3, 6], damaged=True), Notice)
    assert notices == [Notice("RESUMED", "goes on from the checkpoint of step 6")]
    (finished,) = reports(coordinator.pause(), Finished)
    assert finished.step == 6


def test_training_that_has_lost_its_checkpoints_starts_over(make_coordinator):
    over = [Notice("STARTED_OVER", "there is no good checkpoint: training starts again at step 0")]
    assert reports(make_coordinator().served(0, [], damaged=False), Notice) == []
    assert reports(make_coordinator().served(0, [], damaged=True), Notice) == over
    coordinator = make_coordinator()
    running(coordinator)
    saved(coordinator, 5)
    assert reports(coordinator.served(0, [], damaged=False), Notice) == over, "the checkpoint of step 5 is gone"


def test_the_warnings_of_a_specification_are_reported_once_at_step_0(make_coordinator):
    coordinator = make_coordinator(warnings=["a rectifier behind the last layer"])
    warnings = [Notice("WARNING", "a rectifier behind the last layer")]
    assert reports(coordinator.served(6, [6], damaged=False), Notice)[1:] == []
    assert reports(coordinator.served(0, [], damaged=True), Notice)[1:] == warnings
    assert reports(coordinator.served(0, [], damaged=True), Notice)[1:] == []
