"""Watching and waiting: no event is lost or repeated when connections break."""

import asyncio
from datetime import UTC, datetime

import grpc
import pytest

from raydient.client import (
    Client,
    EpochEnded,
    Event,
    JobNotSucceeded,
    NotAllowed,
    Noticed,
    Progressed,
    TimedOut,
    Unreachable,
)
from raydient.client.connection import RECONNECT_SECONDS
from raydient.client.events import event_of
from raydient.v1.training_job_pb2 import StateChanged, TrainingJobEvent, TrainingJobState


def sequences(events: list[Event]) -> list[tuple[int, str | None]]:
    return [(event.sequence, event.message.WhichOneof("event")) for event in events]


WHOLE = [
    (1, "state_changed"),
    (1, "progress"),
    (2, "epoch_ended"),
    (2, "progress"),
    (3, "epoch_ended"),
    (4, "state_changed"),
]


def test_watch_ends_with_the_final_state(client: Client, service) -> None:
    service.add_job()
    service.add_events()
    service.held.set()  # the server does not close the stream by itself
    assert sequences(list(client.get("jobs/one").watch())) == WHOLE


def test_a_failure_is_not_the_end_of_a_job_that_was_resumed(client: Client, service) -> None:
    service.add_job()
    service.add_events(end="FAILED")
    again = service.events["jobs/one"]
    for sequence, state in ((5, "QUEUED"), (6, "RUNNING"), (7, "FAILED")):
        changed = StateChanged(state=TrainingJobState.Value(f"TRAINING_JOB_STATE_{state}"))
        again.append(TrainingJobEvent(sequence=sequence, state_changed=changed))
    assert [number for number, _ in sequences(list(client.get("one").watch(after_sequence=3)))] == [4, 5, 6, 7]


@pytest.mark.parametrize("breaks", [[0], [1], [2], [3, 0, 1], [5], [1] * 5])
def test_a_broken_watch_continues_without_loss_or_repetition(client: Client, service, breaks: list[int]) -> None:
    service.add_job()
    service.add_events()
    service.breaks.extend(breaks)
    durable = [event for event in sequences(list(client.get("one").watch())) if event[1] != "progress"]
    assert durable == [event for event in WHOLE if event[1] != "progress"]
    assert service.calls.count("WatchTrainingJob") > 1


def test_a_watch_continues_after_the_server_was_killed(client: Client, service) -> None:
    service.add_job()
    service.add_events()
    service.fail("WatchTrainingJob", grpc.StatusCode.CANCELLED)
    assert sequences(list(client.get("one").watch())) == WHOLE


def test_a_watch_after_the_final_event_is_empty(client: Client, service, pauses: list[float]) -> None:
    service.add_job(state="FAILED")
    service.add_events(end="FAILED")
    assert list(client.get("one").watch(after_sequence=4)) == []
    assert len(pauses) == 1


def test_the_end_of_a_stream_is_not_the_end_of_the_job(client: Client, service, pauses: list[float]) -> None:
    service.add_job()
    service.add_events(end="")
    with pytest.raises(Unreachable, match="ended the stream before jobs/one ended"):
        list(client.get("one").watch(after_sequence=3))
    assert pauses == list(RECONNECT_SECONDS)


def test_the_pauses_start_again_after_each_success(client: Client, service, pauses: list[float]) -> None:
    service.add_job()
    service.add_events()
    service.breaks.extend([0, 0, 2, 0])
    list(client.get("one").watch())
    assert pauses == [RECONNECT_SECONDS[0], RECONNECT_SECONDS[1], RECONNECT_SECONDS[0], RECONNECT_SECONDS[1]]


def test_a_watcher_that_was_too_slow_reconnects_at_once(client: Client, service, pauses: list[float]) -> None:
    service.add_job()
    service.add_events()
    service.fail("WatchTrainingJob", grpc.StatusCode.ABORTED, reason="WATCHER_TOO_SLOW")
    assert sequences(list(client.get("one").watch())) == WHOLE
    assert pauses == []
    service.fail("WatchTrainingJob", grpc.StatusCode.ABORTED, reason="OTHER")
    with pytest.raises(NotAllowed):
        list(client.get("one").watch())


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED"])
def test_wait_raises_the_reason_of_a_failure(client: Client, service, end: str) -> None:
    service.add_job(state_reason="NON_FINITE")
    service.add_events(end=end, message="the loss is NaN")
    with pytest.raises(JobNotSucceeded, match="the loss is NaN") as caught:
        client.get("one").wait()
    assert (caught.value.state, caught.value.reason) == (end, "NON_FINITE")


def test_wait_inside_a_running_event_loop(client: Client, service) -> None:
    service.add_job(digest="abc")
    service.add_events()

    async def cell() -> str:
        return client.get("one").wait().digest

    assert asyncio.run(cell()) == "abc"


def test_events_have_types(client: Client, service) -> None:
    service.add_job()
    service.add_events()
    first, *_, last = client.get("one").watch()
    assert (first.state, last.state) == ("RUNNING", "SUCCEEDED")
    message = TrainingJobEvent(sequence=3)
    message.time.FromSeconds(86_400)
    message.epoch_ended.epoch, message.epoch_ended.step = 2, 20
    message.epoch_ended.duration.FromMilliseconds(1500)
    message.epoch_ended.metrics.add(name="loss", split="test", value=0.5)
    ended = EpochEnded(3, datetime(1970, 1, 2, tzinfo=UTC), message, 2, 20, 1.5, {"test": {"loss": 0.5}})
    assert event_of(message) == ended
    message.progress.step, message.progress.steps = 4, 8
    assert isinstance(event_of(message), Progressed)
    message.notice.reason, message.notice.message = "WARNING", "text"
    assert isinstance(event_of(message), Noticed)
    assert type(event_of(TrainingJobEvent(sequence=4))) is Event


def test_waiting_ends_when_the_time_is_up(client: Client, service) -> None:
    service.add_job(state="RUNNING")
    service.held.set()
    with pytest.raises(TimedOut, match=r"jobs/one has not ended within 0\.05 seconds; it goes on"):
        client.get("one").wait(timeout=0.05)
    with pytest.raises(TimeoutError):
        list(client.get("one").watch(timeout=0))


def test_a_job_that_has_ended_is_not_too_late(client: Client, service) -> None:
    service.add_job(state="SUCCEEDED")
    assert client.get("one").wait(timeout=0).state == "SUCCEEDED"


def test_waiting_shows_progress(client: Client, service, capsys) -> None:
    service.add_job()
    service.add_events()
    client.get("one").wait(progress=True)
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "RUNNING"
    assert shown[-1].startswith("SUCCEEDED")
    assert sum(line.startswith("epoch ") for line in shown) == 2
