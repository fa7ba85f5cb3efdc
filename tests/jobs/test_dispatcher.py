"""The dispatcher starts queued jobs, and cancels, pauses, resumes and scales them."""

import threading

import pytest

from raydient.server.errors import NotAllowed, NotFound
from raydient.server.jobs import dispatcher as dispatcher_module
from raydient.server.jobs.states import State
from raydient.server.training.reports import Progress
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.steps.measurements import Measurements


def test_the_observer_receives_the_number_of_held_slots(make_dispatcher, submit, runner):
    seen, gone = [], threading.Event()
    dispatcher = make_dispatcher(observe_slots=lambda total, held: seen.append((total, held)))
    job = submit(dispatcher, resources={"workers": 3})
    assert seen == [(runner.slots, 0), (runner.slots, 3)]
    run = runner.next()
    run.begin()
    run.succeed()
    dispatcher.when_stopped(job.id, gone.set)
    assert gone.wait(20)
    dispatcher.cancel(submit(dispatcher, resources={"workers": 1}).id)
    assert (runner.slots, 0) in seen[2:]


def test_a_job_runs_and_its_slots_go_to_the_next(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    first = submit(dispatcher, resources={"workers": 3})
    second = submit(dispatcher, resources={"workers": 2})
    run = runner.next()
    assert run.request.job == first.id
    run.begin()
    assert waiter.get(first.id).state is State.RUNNING
    assert waiter.reaches(first, State.RUNNING).attachment == run.attachment
    assert dispatcher.position(second.id) == 1
    run.succeed("ab" * 32)
    assert waiter.get(first.id).digest == "ab" * 32
    assert runner.next().request.job == second.id
    assert dispatcher.waiting == 0


def test_a_waiting_job_is_cancelled_at_once_and_never_starts(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    first, second, third = (submit(dispatcher, resources={"workers": 4}) for _ in range(3))
    run = runner.next()
    assert dispatcher.cancel(second.id).state is State.CANCELLED
    run.begin()
    run.succeed()
    assert runner.next().request.job == third.id
    assert waiter.get(first.id).state is State.SUCCEEDED


def test_cancelling_a_running_job_cancels_its_run(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    job = submit(dispatcher)
    runner.next().begin()
    assert dispatcher.cancel(job.id).state is State.CANCELLING
    waiter.reaches(job, State.CANCELLED)
    assert dispatcher.cancel(job.id).state is State.CANCELLED
    assert runner.calls == [("start", job.id), ("cancel", job.id)]


def test_a_cancellation_during_the_start_reaches_the_run(make_dispatcher, submit, waiter, slow_runner):
    dispatcher = make_dispatcher(slow_runner)
    job = submit(dispatcher)
    slow_runner.starting.wait()
    assert dispatcher.cancel(job.id).state is State.CANCELLING
    slow_runner.go.set()
    waiter.reaches(job, State.CANCELLED)


def test_absent_and_ended_jobs_cannot_be_cancelled(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    job = submit(dispatcher)
    run = runner.next()
    run.begin()
    run.succeed()
    with pytest.raises(NotAllowed):
        dispatcher.cancel(job.id)
    with pytest.raises(NotFound):
        dispatcher.cancel("none")


@pytest.fixture
def paused_for(monkeypatch):
    """The numbers of losses for which pauses were computed; every pause is 0."""
    losses = []
    monkeypatch.setattr(dispatcher_module, "pause_seconds", lambda count: losses.append(count) or 0.0)
    return losses


def test_a_job_with_a_lost_coordinator_restarts_before_younger_jobs(
    make_dispatcher, submit, waiter, runner, paused_for
):
    dispatcher = make_dispatcher()
    first, second = (submit(dispatcher, resources={"workers": 4}) for _ in range(2))
    for expected in range(1, 5):
        run = runner.next()
        assert run.request.job == first.id
        run.begin()
        assert waiter.get(first.id).run == expected
        run.vanish()
    assert waiter.get(first.id).state is State.FAILED
    assert runner.next().request.job == second.id
    assert paused_for == [0, 1, 2, 3, 0]


def test_progress_resets_the_pause_before_the_next_coordinator(make_dispatcher, submit, waiter, runner, paused_for):
    submit(make_dispatcher())
    for step in (1, 1, 2):
        run = runner.next()
        run.begin()
        run.say(Progress(step, 9, 0, 1, step, 1.0, 2, 2, Measurements(0.5, 0.1)))
        run.vanish()
    runner.next()
    assert paused_for == [0, 1, 2, 1]


@pytest.mark.usefixtures("paused_for")
def test_a_coordinator_that_cannot_be_started_counts_as_lost(make_dispatcher, submit, waiter, fake_runner):
    class Broken(fake_runner):
        def start(self, request, listener):
            raise RuntimeError("no")

    job = submit(make_dispatcher(Broken()))
    failed = waiter.reaches(job, State.FAILED)
    assert (failed.reason, failed.run) == ("COORDINATOR_LOST", 4)


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (NotFound("there is no datasets/x", reason="DATASET_NOT_FOUND"), "DATASET_NOT_FOUND", "there is no datasets/x"),
        (InvalidSpec([FieldError("dataset.uri", "there is no file")]), "INVALID_SPEC", "dataset.uri: there is no file"),
    ],
)
def test_a_missing_dataset_fails_only_its_job(
    make_dispatcher, submit, waiter, runner, tmp_path, error, reason, message
):
    def dataset(job):
        if job.spec.display_name == "bad":
            raise error
        return tmp_path / "a.csv"

    dispatcher = make_dispatcher(dataset=dataset)
    job = submit(dispatcher, display_name="bad", resources={"workers": 4})
    other = submit(dispatcher, resources={"workers": 4})
    failed = waiter.reaches(job, State.FAILED)
    assert (failed.reason, failed.message, failed.run) == (reason, message, 1)
    assert runner.next().request.job == other.id


@pytest.fixture
def resumed(make_dispatcher, submit, waiter, runner):
    """A job that was resumed before the processes of its last run have ended, and the event that ends them."""
    dispatcher, gone = make_dispatcher(), threading.Event()
    job = submit(dispatcher, resources={"workers": 2})
    run = runner.next()
    join = run.join
    run.join = lambda seconds: gone.wait(20) and join(seconds)
    run.begin()
    waiter.reaches(job, State.RUNNING)
    dispatcher.pause(job.id)
    waiter.reaches(job, State.PAUSED)
    dispatcher.resume(job.id)
    yield dispatcher, job, gone
    gone.set()


def test_a_resumed_job_is_scaled_while_its_last_run_ends(resumed, runner):
    dispatcher, job, gone = resumed
    dispatcher.scale(job.id, 3)
    gone.set()
    assert runner.next().request.workers == 3


def test_a_resumed_job_is_cancelled_while_its_last_run_ends(resumed, submit, waiter, runner):
    dispatcher, job, gone = resumed
    assert dispatcher.cancel(job.id).state is State.CANCELLED
    other = submit(dispatcher, resources={"workers": 4})
    gone.set()
    assert runner.next().request.job == other.id
    assert waiter.get(job.id).state is State.CANCELLED


def test_a_run_receives_allotments_in_the_order_of_the_scale_calls(make_dispatcher, submit, waiter, runner):
    dispatcher, allotments = make_dispatcher(), []
    job = submit(dispatcher, resources={"workers": 2})
    run = runner.next()
    run.begin()
    waiter.reaches(job, State.RUNNING)
    second, overtaken = threading.Thread(target=dispatcher.scale, args=(job.id, 1)), threading.Event()

    def scale(workers, minimum):
        if workers == 1:
            overtaken.set()
        elif workers == 4 and not second.ident:
            second.start()
            overtaken.wait(0.2)  # long enough for the second call, if it did not wait for this one
        allotments.append(workers)

    run.scale = scale
    dispatcher.scale(job.id, 4)
    second.join(20)
    assert allotments[-1] == 1


def test_an_action_after_the_run_waits_until_its_processes_have_ended(make_dispatcher, submit, waiter, fake_runner):
    gone = threading.Event()

    class Lingering(fake_runner):
        def make_run(self, *arguments):
            run = super().make_run(*arguments)
            join = run.join
            run.join = lambda timeout: gone.wait(20) and join(timeout)
            return run

    runner = Lingering()
    dispatcher = make_dispatcher(runner)
    job = submit(dispatcher)
    run = runner.next()
    run.begin()
    waiter.reaches(job, State.RUNNING)
    run.succeed()
    done = threading.Event()
    dispatcher.when_stopped(job.id, done.set)
    assert not done.is_set()
    gone.set()
    assert done.wait(20)
    calls = []
    dispatcher.when_stopped(job.id, lambda: calls.append(1))
    assert calls == [1]
