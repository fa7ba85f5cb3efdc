import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.clusters.cluster import OUT_OF_MEMORY
from raydient.server.errors import NotAllowed
from raydient.server.jobs import lifecycle
from raydient.server.jobs.records import Job, MetricPoint, StateChanged
from raydient.server.jobs.states import MOVES, State
from raydient.server.training.reports import (
    CheckpointTaken,
    EpochEnded,
    Finished,
    Notice,
    NumberedReport,
    Outcome,
    Progress,
    Started,
    WentBack,
)
from raydient.spec.validation import validate_job
from raydient.steps.measurements import Measurements

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = validate_job(
    {"dataset": {"uri": "a"}, "network": {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}}
)


def at(step):
    return Progress(step, 100, 0, 1, step, 1.0, 2, 2, Measurements(0.5, 0.1))


def queued():
    return Job("a", SPEC, NOW, number=1)


def running(**fields):
    job = lifecycle.start(queued(), NOW).job
    return replace(lifecycle.report(job, 1, 1, Started(0, 2), NOW).job, **fields)


def test_a_run_from_start_to_end():
    job = lifecycle.start(queued(), NOW).job
    assert (job.state, job.run, job.report) == (State.STARTING, 1, 0)
    job = lifecycle.attach(job, 1, "secret").job
    job = lifecycle.report(job, 1, 1, Started(0, 2), NOW).job
    assert (job.state, job.started) == (State.RUNNING, NOW)
    job = lifecycle.report(job, 1, 2, at(5), NOW).job
    assert (job.progress, job.top_step) == (at(5), 5)
    update = lifecycle.report(job, 1, 3, Finished(Outcome.SUCCEEDED, 100, digest="ab"), NOW)
    assert (update.job.state, update.job.digest, update.job.ended) == (State.SUCCEEDED, "ab", NOW)
    assert update.events == (StateChanged(State.SUCCEEDED, digest="ab"),)
    assert update.job.attachment == ""


def test_the_attachment_does_not_show_in_a_repr():
    assert "secret" not in repr(replace(queued(), attachment="secret"))


@pytest.mark.parametrize(("run", "number"), [(1, 1), (1, 0), (2, 5), (0, 5)])
def test_repetitions_and_reports_of_other_runs_change_nothing(run, number):
    assert lifecycle.report(running(), run, number, at(9), NOW) is None


@pytest.mark.parametrize("state", [s for s in State if not s.running])
def test_a_report_for_a_job_that_does_not_run_changes_nothing(state):
    assert lifecycle.report(running(state=state), 1, 9, at(9), NOW) is None


def test_an_epoch_gives_its_points():
    news = EpochEnded(3, 30, 0.5, {"train": {"loss": 0.4}, "test": {"loss": 0.5, "accuracy": 0.9}})
    update = lifecycle.report(running(), 1, 2, news, NOW)
    assert update.job.last_epoch == news
    assert set(update.points) == {
        MetricPoint(3, "train", "loss", 30, 0.4),
        MetricPoint(3, "test", "loss", 30, 0.5),
        MetricPoint(3, "test", "accuracy", 30, 0.9),
    }


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_known_epoch_changes_nothing(epoch):
    job = lifecycle.report(running(), 1, 2, EpochEnded(3, 30, 0.5, {"train": {"loss": 0.4}}), NOW).job
    assert lifecycle.report(job, 1, 0, EpochEnded(epoch, 30, 0.7, {"train": {"loss": 0.4}}), NOW) is None


@pytest.mark.parametrize("state", State)
def test_an_epoch_after_the_end_is_stored_without_an_event(state):
    news = EpochEnded(4, 40, 0.5, {"train": {"loss": 0.4}})
    update = lifecycle.report(running(state=state), 1, 0, news, NOW)
    assert update.job == replace(running(state=state), last_epoch=news)
    assert update.points == (MetricPoint(4, "train", "loss", 40, 0.4),)
    assert update.events == (() if state.terminal else (news,))


def test_a_batch_of_reports_is_one_update():
    epochs = [EpochEnded(n, 10 * n, 0.5, {"train": {"loss": 1 / n}}) for n in (1, 2)]
    reports = [NumberedReport(2, at(15)), *(NumberedReport(0, epoch) for epoch in epochs), NumberedReport(3, at(20))]
    update = lifecycle.take(running(), 1, reports, NOW)
    assert update.events == (at(15), *epochs, at(20))
    assert update.points == tuple(MetricPoint(n, "train", "loss", 10 * n, 1 / n) for n in (1, 2))
    assert update.job == replace(running(), report=3, progress=at(20), last_epoch=epochs[1], top_step=20, advanced=True)
    assert lifecycle.take(update.job, 1, reports, NOW) is None, "a repetition changes nothing"


def test_epochs_that_no_longer_count_are_computed_again():
    epochs = [EpochEnded(n, 10 * n, 0.5, {"train": {"loss": 1 / n}}) for n in (1, 2, 3)]
    again = EpochEnded(2, 20, 0.5, {"train": {"loss": 0.75}})
    numbered = [NumberedReport(0, epoch) for epoch in epochs[1:]]
    reports = [*numbered, NumberedReport(2, WentBack(epochs[0])), NumberedReport(0, again)]
    update = lifecycle.take(replace(running(), last_epoch=epochs[0]), 1, reports, NOW)
    assert update.points == (MetricPoint(2, "train", "loss", 20, 0.75),)
    assert (update.counts, update.job.last_epoch) == (1, again)
    behind = lifecycle.report(update.job, 1, 3, WentBack(epochs[2]), NOW)
    assert (behind.counts, behind.job) == (None, replace(update.job, report=3))


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_cancelling():
    assert lifecycle.cancel(queued(), NOW).job.state is State.CANCELLED
    cancelling = lifecycle.cancel(running(), NOW).job
    assert cancelling.state is State.CANCELLING
    assert lifecycle.cancel(cancelling, NOW) is None
    done = lifecycle.report(cancelling, 1, 2, Finished(Outcome.CANCELLED, 3), NOW).job
    assert (done.state, done.reason) == (State.CANCELLED, "CANCELLED_BY_USER")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED])
def test_a_job_that_has_ended_otherwise_is_not_cancelled(state):
    with pytest.raises(NotAllowed) as caught:
        lifecycle.cancel(running(state=state), NOW)
    assert caught.value.reason == "JOB_ENDED"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.SUCCEEDED, State.SUCCEEDED),
        (Outcome.FAILED, State.FAILED),
        (Outcome.CANCELLED, State.CANCELLED),
        (Outcome.PAUSED, State.CANCELLED),
    ],
)
def test_a_job_that_ends_while_it_is_cancelled(outcome, state):
    cancelling = lifecycle.cancel(running(), NOW).job
    assert lifecycle.report(cancelling, 1, 2, Finished(outcome, 3), NOW).job.state is state


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_legal_right_after_the_start_and_every_state_has_an_event(outcome):
    update = lifecycle.report(lifecycle.start(queued(), NOW).job, 1, 1, Finished(outcome, 3, reason="R"), NOW)
    states = [State.STARTING, *(event.state for event in update.events)]
    assert states[-1] is update.job.state is lifecycle.ENDS[outcome]
    assert all(after in MOVES[before] for before, after in itertools.pairwise(states))


def test_a_job_whose_run_was_paused_waits_again_and_keeps_its_start_time():
    job = lifecycle.report(running(), 1, 2, Finished(Outcome.PAUSED, 3), NOW).job
    assert (job.state, job.reason, job.ended) == (State.QUEUED, "INTERRUPTED", None)
    again = lifecycle.start(job, NOW).job
    assert (again.run, again.report, again.started) == (2, 0, NOW)


def lose_all(job, *news, why="killed"):
    """Lose coordinators one after the other, each after its reports. Returns the states in between and the job."""
    states = []
    for reports in news:
        job = lifecycle.lose(job, job.run, why, NOW).job
        states.append(job.state)
        if job.state.terminal:
            break
        job = lifecycle.start(job, NOW).job
        for number, report in enumerate((Started(job.checkpoint_step, 2), *reports), 1):
            job = lifecycle.report(job, job.run, number, report, NOW).job
    return states, job


@pytest.mark.parametrize(("why", "reason"), [("killed", "COORDINATOR_LOST"), (OUT_OF_MEMORY, "OUT_OF_MEMORY")])
def test_the_fourth_loss_in_a_row_without_a_step_fails_the_job(why, reason):
    states, job = lose_all(running(), [], [], [], [], why=why)
    assert states == [State.QUEUED] * 3 + [State.FAILED]
    assert job.reason == reason
    assert why in job.message


@pytest.mark.parametrize("news", [at(11), CheckpointTaken(11, 0.1, 10)])
def test_a_new_step_or_checkpoint_starts_the_count_again(news):
    job = running(top_step=10, checkpoint_step=10)
    states, _ = lose_all(job, [], [], [news], [], [], [], [])
    assert states == [State.QUEUED] * 6 + [State.FAILED]


def test_steps_made_before_do_not_count_as_new():
    states, _ = lose_all(running(top_step=10, checkpoint_step=8), [at(9)], [at(10)], [CheckpointTaken(8, 0.1, 1)], [])
    assert states[-1] is State.FAILED


@pytest.mark.parametrize("reason", ["STORAGE", "COORDINATOR_LOST", "WORKER_LOST", "PARAMETER_SERVER_LOST", "X"])
def test_a_job_that_failed_for_a_reason_outside_itself_is_resumed(reason):
    job = running(state=State.FAILED, reason=reason, ended=NOW, losses=4, checkpoint_step=8)
    update = lifecycle.resume(job, NOW)
    assert (update.job.state, update.job.reason, update.job.ended) == (State.QUEUED, "RESUMED_BY_USER", None)
    states, _ = lose_all(lifecycle.start(update.job, NOW).job, [], [], [])
    assert states == [State.QUEUED] * 3, "the count of losses starts again"


@pytest.mark.parametrize("reason", ["NON_FINITE", "INVALID_SPEC"])
def test_a_job_that_failed_by_its_own_fault_is_not_resumed(reason):
    with pytest.raises(NotAllowed, match=f"{reason}: loss inf at step 3") as caught:
        lifecycle.resume(running(state=State.FAILED, reason=reason, message="loss inf at step 3"), NOW)
    assert caught.value.reason == "JOB_AT_FAULT"


@pytest.mark.parametrize("state", [s for s in State if s not in (State.PAUSED, State.FAILED)])
def test_no_other_state_is_resumed(state):
    with pytest.raises(NotAllowed, match="only a PAUSED or FAILED job") as caught:
        lifecycle.resume(running(state=state), NOW)
    assert caught.value.reason == "JOB_NOT_PAUSED"


def test_the_message_of_a_pause_without_checkpoint_names_the_repeated_steps():
    pausing = lifecycle.pause(running()).job
    news = Finished(Outcome.PAUSED, 8, message="the checkpoint of step 9 could not be written: no room")
    job = lifecycle.report(pausing, 1, 2, news, NOW).job
    assert job.state is State.PAUSED
    assert job.message == f"it goes on from step 8 when it is resumed; {news.message}"


def after(job, *news):
    """The job after these reports of its run."""
    for number, report in enumerate(news, job.report + 1):
        job = lifecycle.report(job, job.run, number, report, NOW).job
    return job


def test_checkpoint_problems_are_counted_and_shown_until_a_checkpoint_succeeds():
    failed, damaged = Notice("CHECKPOINT_FAILED", "no room"), Notice("CHECKPOINT_DAMAGED", "a bit is wrong")
    job = after(running(), failed, failed, damaged, Notice("WORKER_LOST", "gone"))
    assert (job.failed_checkpoints, job.damaged_checkpoints, job.checkpoint_problem) == (2, 1, "a bit is wrong")
    job = after(job, CheckpointTaken(5, 0.1, 10))
    assert (job.failed_checkpoints, job.damaged_checkpoints, job.checkpoint_problem) == (2, 1, "")


def test_training_that_continues_from_an_earlier_step_is_reported_once():
    job = lifecycle.start(lifecycle.abandon(running(checkpoint_step=40), 1, NOW).job, NOW).job
    update = lifecycle.report(job, 2, 1, Started(20, 2), NOW)
    message = "training goes on from step 20: the checkpoint of step 40 cannot be used"
    assert update.events == (
        Notice("FALLEN_BACK", message),
        StateChanged(State.RUNNING, message="2 workers, from step 20"),
    )
    assert (update.job.checkpoint_step, update.job.checkpoint_problem) == (20, message)
    assert lifecycle.report(update.job, 2, 2, Started(20, 2), NOW).events == (), "reported once"


def test_a_lost_coordinator_ends_a_cancellation():
    cancelling = lifecycle.cancel(running(), NOW).job
    assert lifecycle.lose(cancelling, 1, "killed", NOW).job.state is State.CANCELLED
    assert lifecycle.abandon(cancelling, 1, NOW).job.state is State.CANCELLED


def test_a_loss_of_an_earlier_run_changes_nothing():
    assert lifecycle.lose(running(), 0, "killed", NOW) is None
    assert lifecycle.abandon(running(), 0, NOW) is None


def test_the_end_of_the_server_is_not_a_loss():
    job = lifecycle.abandon(running(), 1, NOW).job
    assert (job.state, job.losses, job.attachment) == (State.QUEUED, 0, "")


REPORTS = st.one_of(
    st.builds(Started, st.integers(0, 9), st.just(2)),
    st.builds(at, st.integers(0, 20)),
    st.builds(lambda epoch: EpochEnded(epoch, 1, 0.1, {"train": {"loss": 1.0}}), st.integers(1, 5)),
    st.builds(CheckpointTaken, st.integers(0, 20), st.just(0.1), st.just(1)),
    st.just(Notice("R", "m")),
    st.builds(lambda epoch: WentBack(EpochEnded(epoch, 1, 0.1, {})), st.integers(1, 5)),
    st.builds(Finished, st.sampled_from(Outcome), st.just(3)),
)
HAPPENINGS = st.one_of(
    st.tuples(st.just("report"), st.integers(0, 3), st.integers(0, 9), REPORTS),
    st.tuples(st.sampled_from(["start", "cancel", "lose", "abandon"])),
)


@given(st.lists(HAPPENINGS, max_size=40))
def test_any_sequence_of_events_keeps_record_and_events_consistent(happenings):
    job, states = queued(), [State.QUEUED]
    for what, *arguments in happenings:
        try:
            match what:
                case "report":
                    update = lifecycle.report(job, *arguments, NOW)
                case "start":
                    update = lifecycle.start(job, NOW)
                case "cancel":
                    update = lifecycle.cancel(job, NOW)
                case "lose":
                    update = lifecycle.lose(job, job.run, "killed", NOW)
                case "abandon":
                    update = lifecycle.abandon(job, job.run, NOW)
        except NotAllowed:
            continue
        if update is None:
            continue
        states += [event.state for event in update.events if isinstance(event, StateChanged)]
        job = update.job
        assert states[-1] is job.state
        assert (job.ended is not None) == job.state.terminal
        assert job.losses <= lifecycle.LOSSES_ALLOWED + 1
    assert all(after in MOVES[before] for before, after in itertools.pairwise(states))
