"""Follows a job's events through broken connections, without loss or repetition."""

import time
from collections.abc import Iterator
from math import inf

from raydient.v1.training_job_pb2 import TrainingJobEvent
from raydient.v1.training_service_pb2 import GetTrainingJobRequest, WatchTrainingJobRequest

from .connection import Attempts, Connection
from .errors import NotAllowed, RequestRefused, TimedOut, Unreachable
from .states import FINAL, FOR_GOOD


def is_final(event: TrainingJobEvent) -> bool:
    """True if the job ended with this event. Events follow only if the job failed and was resumed."""
    return event.state_changed.state in FINAL


def watch(
    connection: Connection, name: str, after_sequence: int, seconds: float | None = None
) -> Iterator[TrainingJobEvent]:
    """Yield the events of a job after a number; ends after the event of a final state, or at once if that came earlier.

    Events that the service no longer keeps are left out. The event of a failure is the last one only if the server
    ends the stream after it, because the job may have been resumed. Raises TimedOut if the job has not ended after so
    many seconds.
    """
    attempts = Attempts(connection)
    end = inf if seconds is None else time.monotonic() + seconds
    ended = aged_out = False
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TimedOut(f"{name} has not ended within {seconds:g} seconds; it goes on")
        asked = 0 if aged_out else after_sequence  # 0 stands for the oldest event that is kept
        request = WatchTrainingJobRequest(name=name, after_sequence=asked)
        try:
            limit = None if seconds is None else left
            for response in connection.stream(connection.training.WatchTrainingJob, request, limit):
                event: TrainingJobEvent = response.event
                attempts.succeeded()
                aged_out = False
                if event.WhichOneof("event") != "progress" and event.sequence <= after_sequence:
                    continue
                after_sequence = max(after_sequence, event.sequence)
                yield event
                if event.state_changed.state in FOR_GOOD:
                    return
                ended = is_final(event)
            if ended:
                return
            job = connection.call(connection.training.GetTrainingJob, GetTrainingJobRequest(name=name))
            ended = job.state in FINAL  # in a final state an empty stream means that no event is left
            text = f"raydient at {connection.address} ended the stream before {name} ended"
            broken = Unreachable(text, transient=True)
        except TimedOut:
            continue
        except Unreachable as error:
            broken = error
        except NotAllowed as error:
            if error.reason != "WATCHER_TOO_SLOW":
                raise
            continue
        except RequestRefused as error:
            if error.reason != "EVENTS_AGED_OUT" or aged_out:
                raise
            aged_out = True
            continue
        attempts.pause_after(broken, max(0.0, end - time.monotonic()))
