from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from raydient.server.jobs.feed import Feed, Subscription
from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.training.reports import Notice, Progress

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def kept(sequence):
    return JobEvent("a", sequence, NOW, Notice("R", str(sequence)))


def progress(sequence, step):
    return JobEvent("a", sequence, NOW, Progress(step, 9, 0, 1, 1, 1.0, 0.1, 0.5, 2, 2))


def change(job, *events, deleted=False):
    record = Job(job, None, NOW)
    return Change(record, None if deleted else record, events)


def test_hands_each_watcher_the_events_of_its_job_from_subscribing_on():
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


def test_a_newer_progress_replaces_the_one_that_waits():
    watcher = Subscription(lambda: None)
    for event in (progress(1, 1), progress(1, 2), kept(2), progress(2, 3), progress(2, 4)):
        watcher.put([event])
    assert watcher.take() == [progress(1, 2), kept(2), progress(2, 4)]


def test_who_is_too_slow_is_cut_by_a_kept_event_only():
    watcher = Subscription(lambda: None, capacity=2)
    for event in (kept(1), kept(2), progress(2, 1)):
        watcher.put([event])
    assert not watcher.overrun
    watcher.put([kept(3)])
    assert watcher.overrun


@given(st.lists(st.sampled_from(["kept", "progress", "take"])), st.integers(1, 5))
def test_kept_events_are_handed_over_in_order_or_the_watcher_is_cut(happenings, capacity):
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
    told = [event.payload.step for event in got if not event.kept]
    assert told == sorted(set(told))


def test_one_change_may_bring_more_events_than_may_wait():
    watcher = Subscription(lambda: None, capacity=2)
    watcher.put([kept(n) for n in range(1, 10)])
    assert not watcher.overrun
    assert [event.sequence for event in watcher.take()] == list(range(1, 10))
    watcher.put([kept(n) for n in range(10, 13)])
    watcher.put([kept(13)])
    assert watcher.overrun
