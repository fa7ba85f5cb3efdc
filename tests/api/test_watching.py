import itertools
import random
import threading

import grpc
import pytest

from raydient.client import Client as Python
from raydient.server.service import CALL_THREADS
from raydient.server.training.reports import CheckpointTaken, EpochEnded, Finished, Notice, Outcome, Progress
from raydient.steps.measurements import Measurements
from raydient.v1 import training_job_pb2 as pb
from raydient.v1.training_service_pb2 import ResumeTrainingJobRequest

PROGRESS = Progress(3, 100, 1, 10, 384, 99.5, 2, 2, Measurements(0.5, 0.1))
EPOCH = EpochEnded(1, 10, 0.5, {"test": {"accuracy": 0.75}})


def kinds(responses):
    return [(response.event.sequence, response.event.WhichOneof("event")) for response in responses]


def test_a_watch_streams_stored_and_new_events_up_to_the_final_state(client, runner):
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


def test_a_watch_starts_after_any_number(client, runner, refused):
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


def test_a_watch_reads_several_pages_of_stored_events(client, runner):
    name = client.create().name
    run = runner.next()
    run.begin()
    run.say(*(Notice("R", str(n)) for n in range(300)))
    run.succeed()
    assert [response.event.sequence for response in client.watch(name)] == list(range(1, 305))


def test_watchers_that_reconnect_receive_every_event_once(client, runner):
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


def test_a_watcher_that_does_not_read_is_disconnected_and_can_resume(client, runner, impatient):
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


def test_the_end_of_the_server_is_not_the_end_of_the_job(start, fake_runner):
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


def test_watchers_need_no_threads(client, runner):
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


def test_a_watch_from_an_aged_out_event_is_refused(client, runner, refused, forgetful):
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
