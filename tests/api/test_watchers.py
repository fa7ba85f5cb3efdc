"""Watchers of fake jobs, without gRPC: the order of events, and which watchers are disconnected."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from raydient.server.api.watching import Watchers
from raydient.server.errors import Conflict, OutOfRange, Unavailable
from raydient.server.jobs.feed import WAITING_EVENTS, Feed
from raydient.server.jobs.records import Change, Job, JobEvent, StateChanged
from raydient.server.jobs.states import State
from raydient.server.training.reports import Notice

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Store:
    """A store with `count` events of a job that can be deleted."""

    def __init__(self, count, state=State.RUNNING):
        self.kept = [JobEvent("a", n, NOW, Notice("R", "m")) for n in range(1, count + 1)]
        self.job = Job("a", None, None, sequence=count, state=state)

    def get(self, job):
        return self.job

    def events(self, job, after, limit):
        return self.kept[after : after + limit]


class CountingFeed(Feed):
    """A feed that counts its subscriptions."""

    watchers = 0

    def subscribe(self, job, wake):
        self.watchers += 1
        return super().subscribe(job, wake)

    def unsubscribe(self, job, subscription):
        self.watchers -= 1
        super().unsubscribe(job, subscription)


async def at_once():
    """A write that ends at once."""


async def never():
    await asyncio.Event().wait()


def watch(store, happen, write=at_once):
    """Watch job a, and call `happen` with the feed and the watchers after the first event."""

    async def main():
        feed, begun = CountingFeed(), asyncio.Event()
        watchers = Watchers(store, feed)

        async def mark(response):
            begun.set()
            await write()

        watch = asyncio.ensure_future(watchers.watch("a", 0, mark))
        await begun.wait()
        happen(feed, watchers)
        try:
            await asyncio.wait_for(watch, 20)
        finally:
            assert feed.watchers == 0

    asyncio.run(main())


@pytest.mark.parametrize("after", [0, 1])
def test_events_committed_while_stored_ones_are_read_arrive_once(after):
    feed, store, written = Feed(), Store(0), []

    def happen():
        """One more event, stored and published."""
        event = JobEvent("a", len(store.kept) + 1, NOW, Notice("R", "m"))
        store.kept.append(event)
        store.job = Job("a", None, None, sequence=event.sequence, state=State.RUNNING)
        feed.publish(Change(store.job, store.job, (event,)))

    def between(read):
        """Return `read` with an event before and after each call."""

        def busy(*arguments):
            happen()
            result = read(*arguments)
            happen()
            return result

        return busy

    store.get, store.events = between(store.get), between(store.events)

    async def keep(response):
        written.append(response.event.sequence)
        if written[-1] < 6:
            happen()
        else:
            watchers.stop()

    watchers = Watchers(store, feed)
    with pytest.raises(Unavailable):
        asyncio.run(asyncio.wait_for(watchers.watch("a", after, keep), 20))
    assert written == list(range(after + 1, written[-1] + 1))
    assert written[-1] >= 6


def test_deleting_a_job_ends_its_watch():
    store = Store(300, State.SUCCEEDED)

    def happen(feed, watchers):
        store.kept.clear()
        feed.publish(Change(store.job, None))

    with pytest.raises(Conflict) as caught:
        watch(store, happen)
    assert caught.value.reason == "JOB_DELETED"


def test_stopping_ends_a_watch_that_waits():
    with pytest.raises(Unavailable) as caught:
        watch(Store(1), lambda feed, watchers: watchers.stop())
    assert caught.value.reason == "SHUTTING_DOWN"


class Happenings:
    """A job whose events are stored and published, as the store does it."""

    def __init__(self, count=0):
        self.feed, self.store = Feed(), Store(count)
        self.watchers = Watchers(self.store, self.feed)

    def happen(self, *payloads):
        first = len(self.store.kept) + 1
        events = tuple(JobEvent("a", n, NOW, payload) for n, payload in enumerate(payloads, first))
        self.store.kept += events
        before, self.store.job = (
            self.store.job,
            Job("a", None, None, sequence=len(self.store.kept), state=State.RUNNING),
        )
        self.feed.publish(Change(before, self.store.job, events))

    def notices(self, count):
        self.happen(*[Notice("R", "m")] * count)

    def end(self):
        self.happen(StateChanged(State.SUCCEEDED))


def test_a_live_watcher_that_falls_behind_is_disconnected(impatient):
    job = Happenings(1)

    async def write(response):
        if response.event.sequence == 1:
            job.notices(1)
        else:  # an event that was no past one: the watch is live
            job.notices(300)
            await never()

    with pytest.raises(Conflict) as caught:
        asyncio.run(asyncio.wait_for(job.watchers.watch("a", 0, write), 20))
    assert caught.value.reason == "WATCHER_TOO_SLOW"


def test_a_live_watcher_that_catches_up_receives_every_event():
    job, written = Happenings(1), []

    async def write(response):
        written.append(response.event.sequence)
        if written[-1] == 2:
            job.notices(1000)  # more than wait for a watcher, all at once
        elif len(written) in (1, 500):
            job.notices(1)
        elif len(written) == 1003:
            job.end()

    asyncio.run(asyncio.wait_for(job.watchers.watch("a", 0, write), 20))
    assert written == list(range(1, 1005))


def test_a_watcher_of_stored_events_neither_blocks_publishers_nor_is_disconnected(impatient):
    job, written = Happenings(600), []

    async def main():
        taken = asyncio.Event()

        async def write(response):
            written.append(response.event.sequence)
            if len(written) == 1:
                await taken.wait()

        watch = asyncio.ensure_future(job.watchers.watch("a", 0, write))
        for _ in range(20):
            job.notices(100)
            await asyncio.wait([watch], timeout=0.02)
        assert written == [1]
        job.end()
        taken.set()
        await asyncio.wait_for(watch, 20)

    asyncio.run(main())
    assert written == list(range(1, 2602))


def test_a_hundred_watchers_receive_thousands_of_events(impatient):
    """More events than fit into a queue are published while stored ones are read; some watchers are slow."""
    job, random_ = Happenings(2000), random.Random(7)
    got = [[] for _ in range(100)]

    async def main():
        def taker(numbers):
            async def write(response):
                numbers.append(response.event.sequence)
                if random_.random() < 0.01:
                    await asyncio.sleep(0)

            return write

        watches = [asyncio.ensure_future(job.watchers.watch("a", 0, taker(numbers))) for numbers in got]
        while min(map(len, got)) < 1000:
            job.notices(50 if len(job.store.kept) < 2400 else 0)
            await asyncio.sleep(0.01)
        job.end()
        await asyncio.wait_for(asyncio.gather(*watches), 120)

    asyncio.run(main())
    count = len(job.store.kept)
    assert count > 2000 + WAITING_EVENTS, "more events than fit into the queue of a watcher"
    assert all(numbers == list(range(1, count + 1)) for numbers in got)


def test_a_watch_continues_after_the_first_end_of_a_resumed_job():
    job, written = Happenings(0), []
    job.happen(StateChanged(State.FAILED), StateChanged(State.QUEUED), StateChanged(State.SUCCEEDED))

    async def write(response):
        written.append(response.event.sequence)

    asyncio.run(asyncio.wait_for(job.watchers.watch("a", 0, write), 20))
    assert written == [1, 2, 3]


def test_events_that_age_out_end_a_watch(forgetful):
    job, written = Happenings(5), []

    async def write(response):
        written.append(response.event.sequence)
        if len(written) == 5:
            job.notices(300)
            job.store.kept[:] = job.store.kept[-10:]
            job.store.events = lambda job_id, after, limit: [e for e in job.store.kept if e.sequence > after][:limit]

    with pytest.raises(OutOfRange) as caught:
        asyncio.run(asyncio.wait_for(job.watchers.watch("a", 0, write), 20))
    assert caught.value.metadata == {"oldest_sequence": "296"}
    assert written == [1, 2, 3, 4, 5]


def test_a_watch_cancelled_during_a_write_leaves_no_task(caplog):
    async def main():
        writing = asyncio.Event()

        async def write(response):
            writing.set()
            await asyncio.Event().wait()

        watch = asyncio.ensure_future(Watchers(Store(1), Feed()).watch("a", 0, write))
        await writing.wait()
        watch.cancel()
        await asyncio.wait([watch])
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert not caplog.records
