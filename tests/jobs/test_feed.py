from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from raydient.server.jobs.feed import Feed, Subscription
from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.training.reports import Notice, Progress
from raydient.steps.measurements import Measurements

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def kept(sequence):
    return JobEvent("a", sequence, NOW, Notice("R", str(sequence)))


def progress(sequence, step):
    return JobEvent("a", sequence, NOW, Progress(step, 9, 0, 1, 1, 1.0, 2, 2, Measurements(0.5, 0.1)))


def change(job, *events, deleted=False):
    record = Job(job, None, NOW)
    return Change(record, None if deleted else record, events)


def test_a_watcher_receives_the_events_of_its_job_after_it_subscribed():
    feed, woken = Feed(), []
    feed.publish(change("a", kept(1)))
    one, two = (feed.subscribe("a", lambda: woken.append(1)) for _ in range(2))
    other = feed.subscribe("b", lambda: woken.append("b"))
    feed.publish(change("a", kept(2), kept(3)))
    assert one.take() == two.take() == [kept(2), kept(3)]
    assert one.take() == other.take() == []
    assert woken == [1] * 2, "once for all events of a change"
    feed.unsubscribe("a", one)
    feed.unsubscribe("a", one)
    feed.publish(change("a", kept(4)))
    assert (one.take(), two.take()) == ([], [kept(4)])


def test_a_deletion_ends_the_watch():
    feed = Feed()
    watcher = feed.subscribe("a", lambda: None)
    feed.publish(change("a", deleted=True))
    assert watcher.deleted
    assert watcher.take() == []


def test_newer_progress_replaces_waiting_progress():
    watcher = Subscription(lambda: None)
    watcher.put([progress(1, 1), progress(1, 2), kept(2)])
    watcher.put([progress(2, 3)])
    watcher.put([progress(2, 4)])
    assert watcher.take() == [progress(1, 2), kept(2), progress(2, 4)]


def test_events_beyond_the_capacity_are_dropped_until_restart():
    watcher, woken = Subscription(lambda: woken.append(1), capacity=2), []
    watcher.put([kept(1), kept(2), progress(2, 1)])
    assert (watcher.overrun, len(woken)) == (False, 1)
    watcher.put([kept(3), kept(4)])
    watcher.put([kept(5)])
    assert (watcher.overrun, len(woken)) == (True, 2)
    assert watcher.take() == [kept(1), kept(2)]
    watcher.put([kept(6)])
    assert watcher.take() == []
    watcher.restart()
    watcher.put([kept(7)])
    assert (watcher.overrun, watcher.take()) == (False, [kept(7)])


@given(st.lists(st.sampled_from(["kept", "progress", "take"])), st.integers(1, 5))
def test_events_arrive_in_order_until_one_does_not_fit(happenings, capacity):
    watcher, sent, got, steps = Subscription(lambda: None, capacity), 0, [], 0
    for what in happenings:
        if what == "take":
            got += watcher.take()
        elif what == "kept" and not watcher.overrun:
            sent += 1
            watcher.put([kept(sent)])
        elif what == "progress":
            steps += 1
            watcher.put([progress(sent, steps)])
    got += watcher.take()
    numbers = [event.sequence for event in got if event.kept]
    assert numbers == list(range(1, len(numbers) + 1))
    assert watcher.overrun or len(numbers) == sent
    progress_steps = [event.payload.step for event in got if not event.kept]
    assert progress_steps == sorted(set(progress_steps))
