import threading

import pytest

from raydient.server.errors import Exhausted, NotAllowed, NotFound, Unavailable
from raydient.server.jobs import dispatcher as dispatcher_module
from raydient.server.jobs import lifecycle
from raydient.server.jobs.dispatcher import Dispatcher
from raydient.server.jobs.states import State
from raydient.server.jobs.store import JobStore
from raydient.server.training.reports import EpochEnded, Finished, Notice, NumberedReport, Outcome, Progress, Started
from raydient.server.training.runs import RunRequest
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.steps.measurements import Measurements


@pytest.fixture
def waiter(database, now):
    """A store that can be asked to wait until a job is in a state."""

    class Waiter(JobStore):
        def __init__(self):
            self.changed = threading.Condition()
            super().__init__(database, self.announce, clock=lambda: now)

        def announce(self, change):
            with self.changed:
                self.changed.notify_all()

        def reaches(self, job, state):
            with self.changed:
                assert self.changed.wait_for(lambda: self.get(job.id).state is state, 20), self.get(job.id)
            return self.get(job.id)

    return Waiter()


@pytest.fixture
def runner(fake_runner):
    return fake_runner()


@pytest.fixture
def make_dispatcher(waiter, runner, tmp_path, now):
    made = []

    def make(runner=runner, dataset=None, **options):
        def request(job, workers):
            return RunRequest(
                job=job.id,
                workers=workers,
                minimum=job.workers.min,
                spec=job.spec,
                dataset=dataset(job) if dataset else tmp_path / "a.csv",
                directory=tmp_path / job.id,
                epochs=job.epochs,
            )

        made.append(Dispatcher(waiter, runner, request, clock=lambda: now, **options))
        made[-1].recover()
        return made[-1]

    yield make
    for dispatcher in made:
        dispatcher.close(20)


@pytest.fixture
def submit(waiter, make_job):
    def submit(dispatcher, **parts):
        job = waiter.add(make_job(**parts))
        dispatcher.submit(job)
        return job

    return submit


def test_who_asked_hears_how_many_slots_are_held(make_dispatcher, submit, runner):
    seen, gone = [], threading.Event()
    dispatcher = make_dispatcher(observe_slots=lambda total, held: seen.append((total, held)))
    job = submit(dispatcher, resources={"workers": 3})
    assert seen == [(runner.slots, 0), (runner.slots, 3)]
    run = runner.next()
    run.begin()
    run.succeed()
    dispatcher.settled(job.id, gone.set)
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


def test_a_report_is_durable_when_it_has_been_taken_and_counts_once(make_dispatcher, submit, waiter, runner):
    job = submit(make_dispatcher())
    run = runner.next()
    run.say(Started(0, 2), Notice("R", "once"))
    run.repeat(2, Notice("R", "twice"))
    assert [e.payload.message for e in waiter.events(job.id, 0, 9) if isinstance(e.payload, Notice)] == ["once"]


def test_a_waiting_job_is_cancelled_at_once_and_never_starts(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    first, second, third = (submit(dispatcher, resources={"workers": 4}) for _ in range(3))
    run = runner.next()
    assert dispatcher.cancel(second.id).state is State.CANCELLED
    run.begin()
    run.succeed()
    assert runner.next().request.job == third.id
    assert waiter.get(first.id).state is State.SUCCEEDED


def test_a_running_job_is_asked_to_stop(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    job = submit(dispatcher)
    runner.next().begin()
    assert dispatcher.cancel(job.id).state is State.CANCELLING
    waiter.reaches(job, State.CANCELLED)
    assert dispatcher.cancel(job.id).state is State.CANCELLED
    assert runner.calls == [("start", job.id), ("cancel", job.id)]


@pytest.fixture
def slow_runner(fake_runner):
    """A cluster that starts a run when `go` is set; `starting` tells that it was asked to."""

    class Slow(fake_runner):
        starting, go = threading.Event(), threading.Event()

        def start(self, request, listener):
            self.starting.set()
            self.go.wait()
            return super().start(request, listener)

    return Slow()


def test_a_cancellation_during_the_start_reaches_the_run(make_dispatcher, submit, waiter, slow_runner):
    dispatcher = make_dispatcher(slow_runner)
    job = submit(dispatcher)
    slow_runner.starting.wait()
    assert dispatcher.cancel(job.id).state is State.CANCELLING
    slow_runner.go.set()
    waiter.reaches(job, State.CANCELLED)


def test_closing_during_the_start_pauses_the_run(make_dispatcher, submit, waiter, slow_runner):
    dispatcher = make_dispatcher(slow_runner)
    job = submit(dispatcher)
    slow_runner.starting.wait()
    assert not dispatcher.close(0)
    slow_runner.go.set()
    waiter.reaches(job, State.QUEUED)
    assert slow_runner.calls == [("start", job.id), ("pause", job.id)]


def test_cancelling_what_is_not_there_or_has_ended(make_dispatcher, submit, waiter, runner):
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
    """The losses in a row after which each coordinator is started; no time passes."""
    losses = []
    monkeypatch.setattr(dispatcher_module, "pause_seconds", lambda count: losses.append(count) or 0.0)
    return losses


def test_a_lost_coordinator_is_followed_by_another_before_younger_jobs(
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


def test_progress_ends_the_pauses_before_coordinators_are_started(make_dispatcher, submit, waiter, runner, paused_for):
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
def test_a_dataset_that_is_gone_fails_the_job_alone(
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


def test_closing_pauses_the_runs_and_leaves_them_queued(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    running = [submit(dispatcher) for _ in range(2)]
    waiting = submit(dispatcher)
    for _ in running:
        runner.next().begin()
    assert dispatcher.close(20)
    assert [waiter.get(job.id).state for job in (*running, waiting)] == [State.QUEUED] * 3
    assert [call for call, _ in runner.calls] == ["start", "start", "pause", "pause"]


def test_closing_gives_up_on_runs_that_do_not_stop(make_dispatcher, submit, waiter, fake_runner):
    runner = fake_runner(obedient=False)
    dispatcher = make_dispatcher(runner)
    job = submit(dispatcher)
    run = runner.next()
    run.begin()
    waiter.reaches(job, State.RUNNING)
    assert not dispatcher.close(0.01)
    assert waiter.get(job.id).state is State.RUNNING
    run.join(0)


def test_runs_that_outlive_the_service_are_left_running_and_taken_up_again(
    make_dispatcher, submit, waiter, fake_runner, now
):
    runner = fake_runner(detaches=True)
    dispatcher = make_dispatcher(runner)
    running, cancelled, waiting = (submit(dispatcher, resources={"workers": 2}) for _ in range(3))
    for job in (running, cancelled):
        runner.next().begin()
        waiter.reaches(job, State.RUNNING)
    waiter.update(cancelled.id, lambda job: lifecycle.cancel(job, now))
    assert dispatcher.close(20, stop_jobs=False)
    assert [call for call, _ in runner.calls] == ["start", "start", "detach", "detach"]
    assert waiter.get(running.id).state is State.RUNNING
    assert waiter.get(waiting.id).state is State.QUEUED

    later = fake_runner()
    later.alive |= {waiter.get(job.id).attachment for job in (running, cancelled)}
    make_dispatcher(later)
    assert later.next().request.job == running.id
    waiter.reaches(cancelled, State.CANCELLED)
    assert [call[0] for call in later.calls if call[1] == running.id] == ["attach", "scale"]


def test_a_run_that_is_being_started_is_left_running_too(make_dispatcher, submit, waiter, slow_runner):
    slow_runner.detaches = True
    dispatcher = make_dispatcher(slow_runner)
    job = submit(dispatcher)
    slow_runner.starting.wait()
    closing = threading.Thread(target=dispatcher.close, args=(20,), kwargs={"stop_jobs": False})
    closing.start()
    with dispatcher._changed:
        assert dispatcher._changed.wait_for(lambda: dispatcher.draining, 20)
    slow_runner.go.set()
    closing.join(20)
    assert not closing.is_alive()
    assert slow_runner.calls == [("start", job.id), ("detach", job.id)]
    assert waiter.get(job.id).attachment


def test_stop_jobs_pauses_runs_that_could_go_on(make_dispatcher, submit, waiter, fake_runner):
    runner = fake_runner(detaches=True)
    dispatcher = make_dispatcher(runner)
    job = submit(dispatcher)
    runner.next().begin()
    waiter.reaches(job, State.RUNNING)
    assert dispatcher.close(20, stop_jobs=True)
    assert runner.calls == [("start", job.id), ("pause", job.id)]
    assert waiter.get(job.id).state is State.QUEUED


def abandoned(waiter, make_job, now, *, attachment="", reports=()):
    """A job that a server left running when it died."""
    job = waiter.add(make_job(resources={"workers": 4}))
    waiter.update(job.id, lambda job: lifecycle.start(job, now))
    if attachment:
        waiter.update(job.id, lambda job: lifecycle.attach(job, 1, attachment))
    for number, report in enumerate(reports, 1):
        waiter.update(job.id, lambda job, n=number, r=report: lifecycle.report(job, 1, n, r, now))
    return waiter.get(job.id)


def test_a_new_server_goes_on_with_a_run_that_lives(make_dispatcher, make_job, waiter, runner, now):
    job = abandoned(waiter, make_job, now, attachment="old", reports=[Started(0, 4), Notice("R", "m")])
    younger = waiter.add(make_job())
    runner.alive.add("old")
    make_dispatcher()
    run = runner.next()
    assert (run.request.job, run.attachment) == (job.id, "old")
    run.repeat(2, Notice("R", "again"))
    run.say(Progress(1, 9, 0, 1, 1, 1.0, 4, 4, Measurements(0.5, 0.1)))
    assert waiter.get(job.id).report == 3
    assert len(waiter.events(job.id, 0, 9)) == 4
    run.succeed()
    assert runner.next().request.job == younger.id


@pytest.mark.parametrize("attachment", ["", "dead"])
def test_a_new_server_starts_again_what_died_with_the_old_one(
    make_dispatcher, make_job, waiter, runner, now, attachment
):
    job = abandoned(waiter, make_job, now, attachment=attachment, reports=[Started(0, 4)])
    waiter.add(make_job())
    make_dispatcher()
    run = runner.next()
    assert run.request.job == job.id
    run.begin()
    now = waiter.get(job.id)
    assert (now.state, now.run, now.losses) == (State.RUNNING, 2, 0)


def test_a_new_server_ends_a_cancellation(make_dispatcher, make_job, waiter, runner, now):
    dead = abandoned(waiter, make_job, now, attachment="dead", reports=[Started(0, 4)])
    alive = abandoned(waiter, make_job, now, attachment="alive", reports=[Started(0, 4)])
    for job in (dead, alive):
        waiter.update(job.id, lambda job: lifecycle.cancel(job, now))
    runner.alive.add("alive")
    make_dispatcher()
    waiter.reaches(dead, State.CANCELLED)
    waiter.reaches(alive, State.CANCELLED)
    assert runner.calls == [("attach", dead.id), ("attach", alive.id), ("cancel", alive.id)]


def test_what_waited_waits_on_and_what_ended_stays_so(make_dispatcher, make_job, waiter, runner, now):
    ended = abandoned(waiter, make_job, now, reports=[Finished(Outcome.FAILED, 0, reason="R")])
    waiting = [waiter.add(make_job(resources={"workers": 4})) for _ in range(2)]
    dispatcher = make_dispatcher()
    assert runner.next().request.job == waiting[0].id
    assert dispatcher.position(waiting[1].id) == 1
    assert waiter.get(ended.id) == ended


def counted(waiter, monkeypatch):
    """Calls of the store from here on."""
    calls, take = [], waiter.update
    monkeypatch.setattr(waiter, "update", lambda *arguments: calls.append(1) or take(*arguments))
    return calls


def test_what_waits_is_one_transaction(make_dispatcher, submit, waiter, runner, monkeypatch):
    job = submit(make_dispatcher())
    run = runner.next()
    run.begin()
    waiter.reaches(job, State.RUNNING)
    calls = counted(waiter, monkeypatch)
    epochs = [EpochEnded(n, n, 0.1, {"train": {"loss": 1 / n}}) for n in range(1, 301)]
    run.say_together(*epochs[:200], Notice("R", "m"), *epochs[200:])
    assert len(calls) == 1
    told = [e.payload for e in waiter.events(job.id, 3, 1000)]
    assert [p for p in told if isinstance(p, EpochEnded)] == epochs
    assert told[200] == Notice("R", "m")
    assert [p.epoch for p in waiter.points(job.id, 1000)] == list(range(1, 301))


def test_epochs_that_an_end_overtook_are_kept(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    job = submit(dispatcher)
    run = runner.next()
    run.begin()
    epochs = [EpochEnded(n, n, 0.1, {"train": {"loss": 1 / n}}) for n in range(1, 9)]
    run.say(*epochs[:3])
    dispatcher.cancel(job.id)
    waiter.reaches(job, State.CANCELLED)
    run._listener.report([NumberedReport(0, epoch) for epoch in epochs[3:]])
    events = waiter.events(job.id, 0, 100)
    assert events[-1].final
    assert [p.epoch for p in waiter.points(job.id, 100)] == list(range(1, 9))


@pytest.fixture
def resumed(make_dispatcher, submit, waiter, runner):
    """A job that was resumed while the processes of its last run are still there, and the event that ends them."""
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


def test_a_job_that_waits_for_its_last_run_to_go_is_scaled(resumed, runner):
    dispatcher, job, gone = resumed
    dispatcher.scale(job.id, 3)
    gone.set()
    assert runner.next().request.workers == 3


def test_a_job_that_waits_for_its_last_run_to_go_is_cancelled(resumed, submit, waiter, runner):
    dispatcher, job, gone = resumed
    assert dispatcher.cancel(job.id).state is State.CANCELLED
    other = submit(dispatcher, resources={"workers": 4})
    gone.set()
    assert runner.next().request.job == other.id
    assert waiter.get(job.id).state is State.CANCELLED


def test_a_run_hears_of_its_workers_in_the_order_in_which_they_were_given(make_dispatcher, submit, waiter, runner):
    dispatcher, said = make_dispatcher(), []
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
        said.append(workers)

    run.scale = scale
    dispatcher.scale(job.id, 4)
    second.join(20)
    assert said[-1] == 1


def test_a_run_is_asked_only_for_what_the_service_does_not_have(make_dispatcher, submit, waiter, runner):
    submit(make_dispatcher())
    first = runner.next()
    first.begin()
    first.say(EpochEnded(1, 3, 0.1, {"train": {"loss": 1.0}}), EpochEnded(2, 6, 0.1, {"train": {"loss": 0.5}}))
    assert first.request.epochs == 0
    first.vanish()
    assert runner.next().request.epochs == 2


def test_a_run_that_ends_while_the_service_stops_is_no_loss_and_no_error(make_dispatcher, submit, waiter, fake_runner):
    runner = fake_runner(obedient=False)
    dispatcher = make_dispatcher(runner)
    jobs = [submit(dispatcher) for _ in range(2)]
    runs = [runner.next() for _ in jobs]
    for run, job in zip(runs, jobs, strict=True):
        run.begin()
        waiter.reaches(job, State.RUNNING)
    closing = threading.Thread(target=dispatcher.close, args=(20,))
    closing.start()
    with dispatcher._changed:
        assert dispatcher._changed.wait_for(lambda: dispatcher.draining, 20)
    runs[0].vanish("killed by SIGTERM")
    waiter.reaches(jobs[0], State.QUEUED)
    assert waiter.get(jobs[0].id).reason == "SERVER_RESTARTED"
    runs[1].say(Finished(Outcome.PAUSED, 3))
    closing.join(20)
    assert not closing.is_alive()
    assert waiter.get(jobs[1].id).state is State.QUEUED


def test_nothing_is_written_after_the_service_has_stopped(make_dispatcher, submit, waiter, fake_runner, monkeypatch):
    runner = fake_runner(obedient=False)
    dispatcher = make_dispatcher(runner)
    job = submit(dispatcher)
    run = runner.next()
    run.begin()
    waiter.reaches(job, State.RUNNING)
    assert not dispatcher.close(0.01)
    run.vanish("killed by SIGKILL")
    assert waiter.get(job.id).state is State.RUNNING, "the next service takes it up"
    monkeypatch.setattr(waiter, "update", lambda *arguments: (_ for _ in ()).throw(Unavailable("closed")))
    with pytest.raises(ConnectionAbortedError):
        run.say(Notice("R", "m"))
    run.join(0)


@pytest.mark.parametrize("trouble", [Exhausted("full"), Unavailable("locked")])
def test_a_report_waits_for_a_store_that_cannot_take_it(make_dispatcher, submit, waiter, runner, monkeypatch, trouble):
    monkeypatch.setattr(dispatcher_module, "RETRY_SECONDS", 0)
    job = submit(make_dispatcher())
    run = runner.next()
    run.begin()
    waiter.reaches(job, State.RUNNING)
    take, troubles = waiter.update, [trouble, trouble]

    def update(*arguments):
        if troubles:
            raise troubles.pop()
        return take(*arguments)

    monkeypatch.setattr(waiter, "update", update)
    run.succeed()
    assert not troubles
    assert waiter.get(job.id).state is State.SUCCEEDED


def test_what_shall_happen_afterwards_waits_for_the_processes(make_dispatcher, submit, waiter, fake_runner):
    gone = threading.Event()

    class Lingering(fake_runner):
        def _make(self, *arguments):
            run = super()._make(*arguments)
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
    dispatcher.settled(job.id, done.set)
    assert not done.is_set()
    gone.set()
    assert done.wait(20)
    calls = []
    dispatcher.settled(job.id, lambda: calls.append(1))
    assert calls == [1]
