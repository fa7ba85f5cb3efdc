import asyncio
import itertools
import random
import threading

import grpc
import pytest

from raydient.client import Client as Python
from raydient.server.api import watching
from raydient.server.api.watching import Watchers
from raydient.server.app import CALL_THREADS
from raydient.server.errors import Conflict, OutOfRange, Unavailable
from raydient.server.jobs.feed import WAITING_EVENTS, Feed
from raydient.server.jobs.records import Change, Job, JobEvent, StateChanged
from raydient.server.jobs.states import State
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress
from raydient.v1 import training_job_pb2 as pb
from raydient.v1.training_service_pb2 import ResumeTrainingJobRequest

PROGRESS = Progress(3, 100, 1, 10, 384, 99.5, 0.1, 0.5, 2, 2)
EPOCH = EpochEnded(1, 10, 0.5, {"test": {"accuracy": 0.75}})


@pytest.fixture
def impatient(monkeypatch):
    """A server that waits for no watcher that takes nothing."""
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.05)


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


def test_a_job_that_failed_and_was_resumed_is_watched_to_its_second_end(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    run.say(Finished(Outcome.FAILED, 3, reason="STORAGE", message="no room"))
    assert kinds(client.watch(name))[-1] == (4, "state_changed")
    client.training.ResumeTrainingJob(ResumeTrainingJobRequest(name=name))
    watch = client.watch(name, 3)
    states = [next(watch).event.state_changed.state for _ in range(2)]
    assert states == [pb.TRAINING_JOB_STATE_FAILED, pb.TRAINING_JOB_STATE_QUEUED]
    run = runner.next()
    run.begin()
    assert client.get(name).HasField("end_time") is False
    run.succeed()
    assert [response.event.sequence for response in watch] == [6, 7, 8]
    assert [response.event.sequence for response in client.watch(name)] == list(range(1, 9))
    assert client.get(name).state == pb.TRAINING_JOB_STATE_SUCCEEDED


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


def test_a_watcher_that_does_not_read_is_cut_and_may_resume(client, runner, impatient):
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

        watch = asyncio.ensure_future(watchers.watch("a", 0, mark))
        await begun.wait()
        happen(feed, watchers)
        try:
            await asyncio.wait_for(watch, 20)
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


class Happenings:
    """A job whose events are stored and published, as the store does it."""

    def __init__(self, count=0):
        self.feed, self.store = Feed(), Store(count)
        self.watchers = Watchers(self.store, self.feed)

    def happen(self, *payloads):
        first = len(self.store.kept) + 1
        events = tuple(JobEvent("a", n, None, payload) for n, payload in enumerate(payloads, first))
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


def test_a_live_watcher_that_takes_nothing_is_cut_when_events_pile_up(impatient):
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


def test_a_live_watcher_that_is_behind_for_a_moment_gets_everything():
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


def test_nobody_waits_for_a_watcher_of_the_past_and_it_is_not_cut(impatient):
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


def test_a_hundred_watchers_from_the_beginning_of_thousands_of_events_get_all_of_them(impatient):
    """While they read the past more happens than waits for one of them; some take their time."""
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
    assert count > 2000 + WAITING_EVENTS, "more than what waits for a watcher happened meanwhile"
    assert all(numbers == list(range(1, count + 1)) for numbers in got)


def test_a_job_that_was_resumed_is_followed_beyond_its_first_end():
    job, written = Happenings(0), []
    job.happen(StateChanged(State.FAILED), StateChanged(State.QUEUED), StateChanged(State.SUCCEEDED))

    async def write(response):
        written.append(response.event.sequence)

    asyncio.run(asyncio.wait_for(job.watchers.watch("a", 0, write), 20))
    assert written == [1, 2, 3]


@pytest.fixture
def forgetful(monkeypatch):
    """Jobs keep 10 events."""
    monkeypatch.setattr("raydient.server.jobs.ageing.EVENTS_KEPT", 10)


def test_events_that_have_aged_out(client, runner, refused, forgetful):
    name = client.create().name
    run = runner.next()
    run.begin()
    run.say(*(Notice("R", str(n)) for n in range(20)))
    run.succeed()
    states, rest = [1, 2, 3], list(range(15, 25))
    assert [response.event.sequence for response in client.watch(name)] == states + rest
    for after in (14, 15, 23):
        assert [response.event.sequence for response in client.watch(name, after)] == list(range(after + 1, 25))
    for after in (1, 3, 13):
        error = refused(client.watch, name, after)
        assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "EVENTS_AGED_OUT")
        assert error.metadata == {"oldest_sequence": "15"}
    with Python(channel=client.channel) as python:
        assert [event.sequence for event in python.get(name).watch(3)] == rest


def test_events_that_age_out_under_a_watcher(forgetful):
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


def test_a_watch_that_is_abandoned_in_a_write_leaves_no_task(caplog):
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
