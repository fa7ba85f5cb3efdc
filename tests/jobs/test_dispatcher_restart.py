"""The dispatcher when its service stops, and when the next service takes up the jobs."""

import threading

import pytest

from raydient.server.errors import Unavailable
from raydient.server.jobs import lifecycle
from raydient.server.jobs.states import State
from raydient.server.training.reports import Finished, Notice, Outcome, Progress, Started
from raydient.steps.measurements import Measurements


def test_closing_during_the_start_pauses_the_run(make_dispatcher, submit, waiter, slow_runner):
    dispatcher = make_dispatcher(slow_runner)
    job = submit(dispatcher)
    slow_runner.starting.wait()
    assert not dispatcher.close(0)
    slow_runner.go.set()
    waiter.reaches(job, State.QUEUED)
    assert slow_runner.calls == [("start", job.id), ("pause", job.id)]


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
    for _ in range(2):  # in any order: two threads start them
        runner.next().begin()
    for job in (running, cancelled):
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


def begin_closing(dispatcher, **options):
    """Start a thread that closes the dispatcher; returns it once the dispatcher is draining."""
    closing, pause = threading.Thread(target=dispatcher.close, args=(20,), kwargs=options), threading.Event()
    closing.start()
    while not dispatcher.draining:
        assert closing.is_alive()
        pause.wait(0.01)
    return closing


def test_a_run_that_is_being_started_is_left_running_too(make_dispatcher, submit, waiter, slow_runner):
    slow_runner.detaches = True
    dispatcher = make_dispatcher(slow_runner)
    job = submit(dispatcher)
    slow_runner.starting.wait()
    closing = begin_closing(dispatcher, stop_jobs=False)
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


def test_a_run_that_ends_while_the_service_stops_is_no_loss_and_no_error(make_dispatcher, submit, waiter, fake_runner):
    runner = fake_runner(obedient=False)
    dispatcher = make_dispatcher(runner)
    jobs = [submit(dispatcher) for _ in range(2)]
    runs = {run.request.job: run for run in (runner.next() for _ in jobs)}
    for job in jobs:
        runs[job.id].begin()
        waiter.reaches(job, State.RUNNING)
    closing = begin_closing(dispatcher)
    runs[jobs[0].id].vanish("killed by SIGTERM")
    waiter.reaches(jobs[0], State.QUEUED)
    assert waiter.get(jobs[0].id).reason == "SERVER_RESTARTED"
    runs[jobs[1].id].say(Finished(Outcome.PAUSED, 3))
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
