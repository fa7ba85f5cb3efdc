import asyncio
import itertools
import random
import threading

import grpc
import pytest

from raydient.server.api.watching import Watchers
from raydient.server.app import CALL_THREADS
from raydient.server.errors import Conflict, Unavailable
from raydient.server.jobs.feed import Feed
from raydient.server.jobs.records import Change, Job, JobEvent
from raydient.server.jobs.states import State
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Notice, Progress
from raydient.v1 import training_job_pb2 as pb

PROGRESS = Progress(3, 100, 1, 10, 384, 99.5, 0.1, 0.5, 2, 2)
EPOCH = EpochEnded(1, 10, 0.5, {"test": {"accuracy": 0.75}})


def kinds(responses):
    return [(response.event.sequence, response.event.WhichOneof("event")) for response in responses]


def test_tells_what_was_and_then_what_comes_and_ends_with_the_final_state(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    watch = client.watch(name)
    assert kinds(itertools.islice(watch, 3)) == [(n, "state_changed") for n in (1, 2, 3)]
    run.say(PROGRESS)
    progress = next(watch).event
    assert (progress.sequence, progress.progress.step) == (3, 3)
    run.say(EPOCH, CheckpointTaken(10, 0.25, 99), Notice("R", "m"))
    assert kinds(itertools.islice(watch, 3)) == [(4, "epoch_ended"), (5, "checkpoint_taken"), (6, "notice")]
    run.succeed("ab" * 32)
    [last] = watch
    assert last.event.sequence == 7
    assert last.event.state_changed.state == pb.TRAINING_JOB_STATE_SUCCEEDED
    assert last.event.state_changed.digest == "ab" * 32
    assert watch.code() is grpc.StatusCode.OK


def test_resumes_from_every_number(client, runner, refused):
    name = client.create().name
    run = runner.next()
    run.begin()
    run.say(EPOCH, PROGRESS, Notice("R", "m"))
    run.succeed()
    everything = kinds(client.watch(name))
    assert [number for number, _ in everything] == [1, 2, 3, 4, 5, 6]
    for after in range(7):
        assert kinds(client.watch(name, after)) == everything[after:]
    for after in (-1, 7):
        error = refused(client.watch, name, after)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SEQUENCE")
        assert error.fields == ["after_sequence"]


def test_more_events_than_are_read_at_a_time(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    run.say(*(Notice("R", str(n)) for n in range(300)))
    run.succeed()
    assert [response.event.sequence for response in client.watch(name)] == list(range(1, 305))


def test_watchers_that_come_and_go_while_events_happen_miss_nothing_and_get_nothing_twice(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    got = [[] for _ in range(4)]

    def follow(numbers, random):
        while True:
            watch = client.watch(name, numbers[-1] if numbers else 0)
            for response in watch if random.random() < 0.2 else itertools.islice(watch, random.randint(1, 20)):
                if response.event.WhichOneof("event") != "progress":
                    numbers.append(response.event.sequence)
                if response.event.state_changed.state == pb.TRAINING_JOB_STATE_SUCCEEDED:
                    return
            watch.cancel()

    threads = [threading.Thread(target=follow, args=(n, random.Random(i))) for i, n in enumerate(got)]
    for thread in threads:
        thread.start()
    for number in range(150):
        run.say(Notice("R", str(number)), PROGRESS)
    run.succeed()
    for thread in threads:
        thread.join()
    assert got == [list(range(1, 155))] * 4


def test_a_watcher_that_does_not_read_is_cut_and_may_resume(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    watch = client.watch(name)
    seen = [next(watch).event.sequence]
    run.say(*(Notice("R", "x" * 1_000_000) for _ in range(20)), *(Notice("R", "y") for _ in range(300)))
    with pytest.raises(grpc.RpcError) as caught:
        seen.extend(response.event.sequence for response in watch)
    assert caught.value.code() is grpc.StatusCode.ABORTED
    run.succeed()
    seen += [response.event.sequence for response in client.watch(name, seen[-1])]
    assert seen == list(range(1, 325))


def test_the_end_of_the_server_is_not_taken_for_the_end_of_the_job(start, fake_runner):
    runner = fake_runner()
    served = start(runner)
    name = served.client.create().name
    runner.next().begin()
    watch = served.client.watch(name)
    seen = [next(watch).event.sequence]
    served.begin_to_stop()
    with pytest.raises(grpc.RpcError) as caught:
        seen.extend(response.event.sequence for response in watch)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "shutting down" in caught.value.details()
    served.stop()
    runner = fake_runner()
    client = start(runner).client
    run = runner.next()
    run.begin()
    run.succeed()
    seen += [response.event.sequence for response in client.watch(name, seen[-1])]
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) == 7


def test_watchers_cost_no_threads(client, runner):
    name = client.create().name
    runner.next().begin()
    few = [client.watch(name) for _ in range(20)]
    for watch in few:
        next(watch)
    before = threading.active_count()
    many = [client.watch(name) for _ in range(100)]
    for watch in many:
        next(watch)
    assert threading.active_count() <= before + CALL_THREADS
    for watch in few + many:
        watch.cancel()


class Store:
    """As many stored events as wanted, and a job that can be deleted."""

    def __init__(self, count, state=State.RUNNING):
        self.kept = [JobEvent("a", n, Job("a", None, None).created, Notice("R", "m")) for n in range(1, count + 1)]
        self.job = Job("a", None, None, sequence=count, state=state)

    def get(self, job):
        return self.job

    def events(self, job, after, limit):
        return self.kept[after : after + limit]


async def at_once():
    """How fast a watcher takes an event."""


async def never():
    await asyncio.Event().wait()


def watch(store, happen, write=at_once):
    """Watch job a; after the first event let `happen` do something to the feed and the watchers."""

    async def main():
        feed, begun = Feed(), asyncio.Event()
        watchers = Watchers(store, feed)

        async def mark(response):
            begun.set()
            await write()

        watching = asyncio.ensure_future(watchers.watch("a", 0, mark))
        await begun.wait()
        happen(feed, watchers)
        try:
            await asyncio.wait_for(watching, 20)
        finally:
            assert not feed._subscriptions

    asyncio.run(main())


@pytest.fixture(autouse=True)
def times(monkeypatch):
    """Records of this module's fake store have no times."""
    monkeypatch.setattr("raydient.server.api.messages._time", lambda time: None)


@pytest.mark.parametrize("after", [0, 1])
def test_what_happens_while_the_past_is_read_comes_once(after):
    feed, store, written = Feed(), Store(0), []

    def happen():
        """One more event, stored and published."""
        event = JobEvent("a", len(store.kept) + 1, None, Notice("R", "m"))
        store.kept.append(event)
        store.job = Job("a", None, None, sequence=event.sequence, state=State.RUNNING)
        feed.publish(Change(store.job, store.job, (event,)))

    def between(read):
        """Something happens before and after each reading."""

        def busy(*arguments):
            happen()
            found = read(*arguments)
            happen()
            return found

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


def test_a_job_that_is_deleted_while_its_past_is_read():
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


def test_a_write_that_never_ends_is_given_up_when_events_pile_up():
    def happen(feed, watchers):
        for n in range(2, 400):
            event = JobEvent("a", n, None, Notice("R", "m"))
            feed.publish(Change(Job("a", None, None), Job("a", None, None), (event,)))

    with pytest.raises(Conflict) as caught:
        watch(Store(1), happen, never)
    assert caught.value.reason == "WATCHER_TOO_SLOW"


def test_a_watch_that_is_abandoned_in_a_write_leaves_no_task(caplog):
    async def main():
        writing = asyncio.Event()

        async def write(response):
            writing.set()
            await asyncio.Event().wait()

        watching = asyncio.ensure_future(Watchers(Store(1), Feed()).watch("a", 0, write))
        await writing.wait()
        watching.cancel()
        await asyncio.wait([watching])
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert not caplog.records
