"""Passes committed events of jobs to their watchers. Memory is bounded; publishers never block."""

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from .records import Change, JobEvent

WAITING_EVENTS = 256
"""Maximum number of events that wait for one watcher; the watcher reads further events from the store."""


class Subscription:
    """The events of one job from the time of subscription, for one watcher.

    `put` and `end` may be called from any thread, other methods from the watcher's. `wake` is called on the thread of
    `put` or `end` when there are events to take; it must not block.
    """

    def __init__(self, wake: Callable[[], None], capacity: int = WAITING_EVENTS) -> None:
        self._wake = wake
        self._capacity = capacity
        self._waiting: deque[JobEvent] = deque()
        self._lock = threading.Lock()
        self._overrun = False
        self._deleted = False

    @property
    def overrun(self) -> bool:
        """True if an event did not fit. The waiting events have no gap; nothing is added before `restart`."""
        return self._overrun

    @property
    def deleted(self) -> bool:
        """True if the job was deleted."""
        return self._deleted

    def put(self, events: Sequence[JobEvent]) -> None:
        """Add the events of one change. A progress replaces a waiting progress directly before it."""
        with self._lock:
            if self._overrun:
                return
            idle = not self._waiting
            for event in events:
                if not event.kept and self._waiting and not self._waiting[-1].kept:
                    self._waiting[-1] = event
                elif len(self._waiting) < self._capacity:
                    self._waiting.append(event)
                elif event.kept:
                    self._overrun = True
                    break
        if idle or self._overrun:
            self._wake()

    def end(self) -> None:
        """Mark the job as deleted."""
        self._deleted = True
        self._wake()

    def take(self) -> list[JobEvent]:
        """Remove and return the waiting events, in order."""
        with self._lock:
            events = list(self._waiting)
            self._waiting.clear()
            return events

    def restart(self) -> None:
        """Drop the waiting events and clear `overrun`; events that are committed from now on are added again."""
        with self._lock:
            self._waiting.clear()
            self._overrun = False


class Feed:
    """All subscriptions, by job. May be used from any thread."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = defaultdict(set)
        self._lock = threading.Lock()

    def subscribe(self, job: str, wake: Callable[[], None]) -> Subscription:
        """Subscribe to all events of a job that are committed from now on."""
        subscription = Subscription(wake)
        with self._lock:
            self._subscriptions[job].add(subscription)
        return subscription

    def unsubscribe(self, job: str, subscription: Subscription) -> None:
        """Inverse of `subscribe`."""
        with self._lock:
            watchers = self._subscriptions.get(job, set())
            watchers.discard(subscription)
            if not watchers:
                self._subscriptions.pop(job, None)

    def publish(self, change: Change) -> None:
        """Add the events of a change to the subscriptions of its job."""
        job = change.after or change.before
        assert job is not None
        with self._lock:
            watchers = list(self._subscriptions.get(job.id, ()))
        for watcher in watchers:
            if change.events:
                watcher.put(change.events)
            if change.after is None:
                watcher.end()
