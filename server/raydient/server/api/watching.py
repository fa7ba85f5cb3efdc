"""Streams the events of a job: first the stored ones, then new ones, without a gap and without a thread per watcher.

Stored events are read in pages, each when the watcher has received the one before, at the watcher's pace. New events
wait in a bounded queue meanwhile; those that do not fit are read from the store as well. A watcher is disconnected only
if it has received all stored events and then accepts none for PATIENCE_SECONDS.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from raydient.server.errors import Conflict, InvalidRequest, OutOfRange, Unavailable
from raydient.server.jobs import Feed, JobEvent, JobStore, Subscription, oldest_event
from raydient.v1.training_service_pb2 import WatchTrainingJobResponse

from .messages import event_message

PAGE = 256
"""Stored events read at a time."""
PATIENCE_SECONDS = 10.0
"""Time that a live watcher may take to accept an event while its queue overflows."""
Write = Callable[[WatchTrainingJobResponse], Awaitable[Any]]


class Watchers:
    """All watchers of one server; to be used on its event loop only."""

    def __init__(self, store: JobStore, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        self._stopping = False
        self._stop: asyncio.Future[None] | None = None
        self._changed: set[asyncio.Event] = set()

    @property
    def stopping(self) -> asyncio.Future[None]:
        """A future that is done when the server stops."""
        if self._stop is None:
            self._stop = asyncio.get_running_loop().create_future()
            if self._stopping:
                self._stop.set_result(None)
        return self._stop

    def stop(self) -> None:
        """End all watches, because the server stops; the status is UNAVAILABLE, so that clients watch again."""
        self._stopping = True
        if self._stop is not None and not self._stop.done():
            self._stop.set_result(None)
        for changed in self._changed:
            changed.set()

    async def watch(self, job: str, after: int, write: Write) -> None:
        """Write every event of a job with a number above `after`; returns after the final one.

        Raises NotFound, Unreadable, InvalidRequest (no event has the number `after`), OutOfRange (events after it have
        aged out), Conflict (the watcher is too slow, or the job was deleted), Unavailable (the server stops).
        """
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        # before anything is read: an event committed in between arrives twice and is recognized by its number
        subscription = self._feed.subscribe(job, wake)
        self._changed.add(changed)
        try:
            await _Watch(self, subscription, changed, write).run(job, after)
        finally:
            self._changed.discard(changed)
            self._feed.unsubscribe(job, subscription)

    def check(self) -> None:
        """Raise Unavailable if the server stops."""
        if self._stopping:
            raise Unavailable("the service is shutting down; watch again", reason="SHUTTING_DOWN")

    async def stored(self, job: str, after: int) -> list[JobEvent]:
        """The next stored events."""
        return await asyncio.to_thread(self._store.events, job, after, PAGE)

    async def newest(self, job: str) -> tuple[int, bool]:
        """Number of the job's newest stored event, and whether none will follow it. Raises NotFound."""
        record = await asyncio.to_thread(self._store.get, job)
        return record.sequence, record.state.terminal


class _Watch:
    """One watcher: the number of the last event that it received, and the delivery of the next ones."""

    def __init__(self, watchers: Watchers, subscription: Subscription, changed: asyncio.Event, write: Write) -> None:
        self._watchers = watchers
        self._subscription = subscription
        self._changed = changed
        self._write = write
        self._live = False
        self._last = 0
        self._newest = 0
        self._complete_from = 1  # there is no gap between events from this number on

    async def run(self, job: str, after: int) -> None:
        newest, ended = await self._watchers.newest(job)
        if not 0 <= after <= newest:
            message = f"there is no event {after} of jobs/{job}; the newest is {newest}"
            raise InvalidRequest.of("after_sequence", message, reason="INVALID_SEQUENCE")
        self._last, self._newest = after, newest
        self._complete_from = after + 1 if after else oldest_event(newest)
        if self._complete_from < oldest_event(newest):
            raise _aged_out(after, oldest_event(newest))
        if ended and after == newest:
            return
        if await self._catch_up(job):
            return
        while True:
            self._changed.clear()
            events = self._subscription.take()
            if await self._send(events):
                return
            if self._subscription.overrun:
                if await self._catch_up(job):
                    return
            elif not events:
                self._watchers.check()
                if self._subscription.deleted:
                    raise Conflict("the job was deleted", reason="JOB_DELETED")
                await self._changed.wait()

    async def _catch_up(self, job: str) -> bool:
        """Write the stored events after the last one, at the watcher's pace. True after the final event."""
        self._live = False
        while True:
            # Before reading: later commits go to the queue, earlier ones are in the store.
            self._subscription.restart()
            events = await self._watchers.stored(job, self._last)
            if await self._send(events):
                return True
            if len(events) < PAGE and not self._subscription.overrun:
                break
        self._live = True
        return False

    async def _send(self, events: list[JobEvent]) -> bool:
        """Write the new ones of these events. True after the final event, unless the job was resumed since."""
        for event in events:
            if event.sequence > self._last or (event.sequence == self._last and not event.kept):
                if event.sequence > max(self._last + 1, self._complete_from):
                    raise _aged_out(self._last, event.sequence)
                await self._deliver(WatchTrainingJobResponse(event=event_message(event)))
                self._last = event.sequence
            if event.final and event.sequence >= self._newest:
                return True
        return False

    async def _deliver(self, response: WatchTrainingJobResponse) -> None:
        """Write one event. Raises if the server stops, or a live watcher accepts nothing while its queue overflows."""
        # The write is not cancelled when the watch is cut, because gRPC would then withhold the status.
        writing = asyncio.ensure_future(self._write(response))
        writing.add_done_callback(_retrieve)
        stopping = self._watchers.stopping
        try:
            while not writing.done():
                await asyncio.wait({writing, stopping}, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not writing.done():
                    self._watchers.check()
                    if self._live and self._subscription.overrun:
                        message = "the watcher is too slow: its queue of events is full; watch again"
                        raise Conflict(message, reason="WATCHER_TOO_SLOW")
        except asyncio.CancelledError:  # the client has disconnected
            writing.cancel()
            raise
        await writing


def _aged_out(after: int, oldest: int) -> OutOfRange:
    return OutOfRange(
        f"events after {after} have aged out; all events from {oldest} on are kept",
        reason="EVENTS_AGED_OUT",
        metadata={"oldest_sequence": str(oldest)},
    )


def _retrieve(writing: asyncio.Future[Any]) -> None:
    """Mark a write's exception as retrieved; after a cut no code awaits the write."""
    if not writing.cancelled():
        writing.exception()
