"""Bounds on the stored events and curves of a job."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.jobs import ageing, lifecycle
from raydient.server.jobs.ageing import CURVE_EPOCHS, EVENTS_KEPT, curve_stride, oldest_event
from raydient.server.jobs.records import StateChanged
from raydient.server.jobs.states import State
from raydient.server.training.reports import EpochEnded, Notice, Started, WentBack


@pytest.fixture
def small(monkeypatch):
    """Ten events and eight epochs are kept."""
    monkeypatch.setattr(ageing, "EVENTS_KEPT", 10)
    monkeypatch.setattr(ageing, "CURVE_EPOCHS", 8)


@pytest.fixture
def running(store, make_job, now):
    """Returns a function that makes a running job and a function that applies the next report to a job."""

    def apply(job, report):
        number = job.report + 1
        return store.update(job.id, lambda job: lifecycle.report(job, job.run, number, report, now))

    def make():
        job = store.add(make_job())
        job = store.update(job.id, lambda job: lifecycle.start(job, now))
        return apply(job, Started(0, 2)), apply

    return make


def epoch(number):
    return EpochEnded(number, 3 * number, 0.5, {"train": {"loss": 1.0}, "test": {"loss": 2.0, "accuracy": 0.5}})


def curve(store, job):
    points = store.points(job.id, 10_000)
    epochs = sorted({point.epoch for point in points})
    assert len(points) == 3 * len(epochs)
    return epochs


def naive_curve(newest, most):
    """The rule written naively: every epoch, or every second, fourth, ... as the bound requires, and both ends."""
    spacing = next(2**k for k in range(20) if newest / 2**k <= most)
    return sorted({1, newest, *(n for n in range(1, newest + 1) if n % spacing == 0)})


def test_jobs_of_usual_length_keep_everything():
    assert min(EVENTS_KEPT, CURVE_EPOCHS) >= 10_000
    assert [curve_stride(n) for n in (0, 1, CURVE_EPOCHS, CURVE_EPOCHS + 1, 10**6)] == [1, 1, 1, 2, 128]
    assert [oldest_event(n) for n in (0, 1, EVENTS_KEPT, EVENTS_KEPT + 1)] == [1, 1, 1, 2]


def test_the_newest_events_and_all_changes_of_state_are_kept(store, running, small):
    (job, apply), (other, _) = running(), running()
    for n in range(30):
        job = apply(job, Notice("R", str(n)))
    assert job.sequence == 33
    events = store.events(job.id, 0, 100)
    assert [event.sequence for event in events] == [1, 2, 3, *range(24, 34)]
    assert [event.payload.state for event in events[:3]] == [State.QUEUED, State.STARTING, State.RUNNING]
    assert len(store.events(other.id, 0, 100)) == 3
    assert store.get(job.id).sequence == 33, "numbers are not given out again"


def test_a_curve_is_thinned_by_the_rule_after_every_epoch(store, running, small):
    job, apply = running()
    for n in range(1, 70):
        job = apply(job, epoch(n))
        assert curve(store, job) == naive_curve(n, 8)
        assert job.last_epoch == epoch(n)


def test_a_curve_goes_back_with_the_job(store, running, small):
    job, apply = running()
    for n in range(1, 31):
        job = apply(job, epoch(n))
    job = apply(job, WentBack(epoch(13)))
    assert curve(store, job) == [1, 4, 8, 12]
    for n in range(14, 20):
        job = apply(job, epoch(n))
    assert (curve(store, job)[-1], job.last_epoch) == (19, epoch(19))
    assert curve(store, apply(job, WentBack())) == []


@given(st.lists(st.integers(1, 40), max_size=6))
def test_the_kept_epochs_do_not_depend_on_the_transactions(steps):
    """The same epochs are kept however they are split into transactions."""
    kept, newest = set(), 0
    for step in steps:
        kept |= {*range(newest + 1, newest + step + 1)}
        before, newest = newest, newest + step
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ageing, "CURVE_EPOCHS", 8)
            stride = curve_stride(newest)
            since = before if stride == curve_stride(before) else 1
        kept = {e for e in kept if not (1 < e < newest and e >= since and e % stride)}
    assert sorted(kept) == (naive_curve(newest, 8) if newest else [])


def test_a_restored_job_is_aged_as_any_other_job(store, make_job, small):
    epochs = [epoch(n) for n in range(1, 41)]
    job = store.restore(replace(make_job(), state=State.PAUSED, last_epoch=epochs[-1]), epochs)
    assert curve(store, job) == naive_curve(40, 8)
    events = store.events(job.id, 0, 100)
    assert [event.sequence for event in events] == list(range(32, 42))
    assert events[-1].payload == StateChanged(State.PAUSED)
