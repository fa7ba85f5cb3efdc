"""Following a job: what is stored first, then what happens, without a gap between the two and without a thread."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from raydient.server.errors import Conflict, InvalidRequest, Unavailable
from raydient.server.jobs import Feed, JobEvent, JobStore, Subscription
from raydient.v1.training_service_pb2 import WatchTrainingJobResponse

from .messages import event_message

PAGE = 256
"""Stored events read at a time."""
Write = Callable[[WatchTrainingJobResponse], Awaitable[Any]]


class Watchers:
    """All watchers of one server; to be used on its event loop only."""

    def __init__(self, store: JobStore, feed: Feed) -> None:
        self._store = store
        self._feed = feed
        self._stopping = False
        self._changed: set[asyncio.Event] = set()

    def stop(self) -> None:
        """The server stops: end every watch, with a status that tells to watch again."""
        self._stopping = True
        for changed in self._changed:
            changed.set()

    async def watch(self, job: str, after: int, write: Write) -> None:
        """Write every event of a job with a number above `after`; returns after the final one.

        Raises NotFound, InvalidRequest (a number that was never given out), Conflict (the watcher is too slow, or the
        job was deleted), Unavailable (the server stops).
        """
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        # before anything is read: what is committed in between comes twice and is told apart by its number
        subscription = self._feed.subscribe(job, wake)
        self._changed.add(changed)
        try:
            await _Watch(self, subscription, changed, write).run(job, after)
        finally:
            self._changed.discard(changed)
            self._feed.unsubscribe(job, subscription)

    def check(self, subscription: Subscription) -> None:
        """Raise what ends a watch even if there is something to send."""
        if subscription.overrun:
            raise Conflict("too many events wait for this watcher; watch again", reason="WATCHER_TOO_SLOW")
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
    """One watcher: the events it has yet to get and the number of the last one it got."""

    def __init__(self, watchers: Watchers, subscription: Subscription, changed: asyncio.Event, write: Write) -> None:
        self._watchers = watchers
        self._subscription = subscription
        self._changed = changed
        self._write = write
        self._last = 0

    async def run(self, job: str, after: int) -> None:
        newest, ended = await self._watchers.newest(job)
        if not 0 <= after <= newest:
            message = f"{after} was never given out; the newest event of jobs/{job} is {newest}"
            raise InvalidRequest.of("after_sequence", message, reason="INVALID_SEQUENCE")
        self._last = after
        if ended and after == newest:
            return
        while self._last < newest and (events := await self._watchers.stored(job, self._last)):
            if await self._send(events):
                return
        while True:
            self._changed.clear()
            events = self._subscription.take()
            if await self._send(events):
                return
            if not events:
                self._watchers.check(self._subscription)
                if self._subscription.deleted:
                    raise Conflict("the job was deleted meanwhile", reason="JOB_DELETED")
                await self._changed.wait()

    async def _send(self, events: list[JobEvent]) -> bool:
        """Write what is new of these; True after the final event."""
        for event in events:
            if event.sequence > self._last or (event.sequence == self._last and not event.kept):
                await self._write_or_cut(WatchTrainingJobResponse(event=event_message(event)))
                self._last = event.sequence
            if event.final:
                return True
        return False

    async def _write_or_cut(self, response: WatchTrainingJobResponse) -> None:
        """Write; raise what `Watchers.check` raises if the watcher does not read while events pile up."""
        # Not cancelled when the watch is cut, because gRPC would then withhold the status. It ends with the call.
        writing = asyncio.ensure_future(self._write(response))
        writing.add_done_callback(_retrieve)
        try:
            while not writing.done():
                self._watchers.check(self._subscription)
                self._changed.clear()
                changing = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait({writing, changing}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changing.cancel()
        except asyncio.CancelledError:  # the client is gone
            writing.cancel()
            raise
        await writing


def _retrieve(writing: asyncio.Future[Any]) -> None:
    """Mark a write's exception as seen: after a cut no code awaits the write."""
    if not writing.cancelled():
        writing.exception()
