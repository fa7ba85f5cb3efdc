"""The path of a run's reports through the dispatcher into the store."""

import pytest

from raydient.server.errors import Exhausted, Unavailable
from raydient.server.jobs import dispatcher as dispatcher_module
from raydient.server.jobs.states import State
from raydient.server.training.reports import EpochEnded, Notice, NumberedReport, Started


def test_a_report_is_stored_once(make_dispatcher, submit, waiter, runner):
    job = submit(make_dispatcher())
    run = runner.next()
    run.say(Started(0, 2), Notice("R", "once"))
    run.repeat(2, Notice("R", "twice"))
    assert [e.payload.message for e in waiter.events(job.id, 0, 9) if isinstance(e.payload, Notice)] == ["once"]


def counted(waiter, monkeypatch):
    """The list of calls of `waiter.update`, to which later calls are added."""
    calls, take = [], waiter.update
    monkeypatch.setattr(waiter, "update", lambda *arguments: calls.append(1) or take(*arguments))
    return calls


def test_a_batch_of_reports_is_one_transaction(make_dispatcher, submit, waiter, runner, monkeypatch):
    job = submit(make_dispatcher())
    run = runner.next()
    run.begin()
    waiter.reaches(job, State.RUNNING)
    calls = counted(waiter, monkeypatch)
    epochs = [EpochEnded(n, n, 0.1, {"train": {"loss": 1 / n}}) for n in range(1, 301)]
    run.say_together(*epochs[:200], Notice("R", "m"), *epochs[200:])
    assert len(calls) == 1
    payloads = [e.payload for e in waiter.events(job.id, 3, 1000)]
    assert [p for p in payloads if isinstance(p, EpochEnded)] == epochs
    assert payloads[200] == Notice("R", "m")
    assert [p.epoch for p in waiter.points(job.id, 1000)] == list(range(1, 301))


def test_epochs_that_arrive_after_the_end_are_stored(make_dispatcher, submit, waiter, runner):
    dispatcher = make_dispatcher()
    job = submit(dispatcher)
    run = runner.next()
    run.begin()
    epochs = [EpochEnded(n, n, 0.1, {"train": {"loss": 1 / n}}) for n in range(1, 9)]
    run.say(*epochs[:3])
    dispatcher.cancel(job.id)
    waiter.reaches(job, State.CANCELLED)
    run.listener.report([NumberedReport(0, epoch) for epoch in epochs[3:]])
    events = waiter.events(job.id, 0, 100)
    assert events[-1].final
    assert [p.epoch for p in waiter.points(job.id, 100)] == list(range(1, 9))


def test_a_new_run_reports_only_epochs_that_are_not_stored(make_dispatcher, submit, waiter, runner):
    submit(make_dispatcher())
    first = runner.next()
    first.begin()
    first.say(EpochEnded(1, 3, 0.1, {"train": {"loss": 1.0}}), EpochEnded(2, 6, 0.1, {"train": {"loss": 0.5}}))
    assert first.request.epochs == 0
    first.vanish()
    assert runner.next().request.epochs == 2


@pytest.mark.parametrize("trouble", [Exhausted("full"), Unavailable("locked")])
def test_a_report_is_retried_until_the_store_accepts_it(make_dispatcher, submit, waiter, runner, monkeypatch, trouble):
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
