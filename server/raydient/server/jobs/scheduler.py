"""Decides which jobs start and grow, in order of their numbers, on a number of worker slots. No threads, no I/O."""

import bisect
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from raydient.spec.job import WorkerRange


@dataclass(frozen=True, order=True, slots=True)
class Waiting:
    """A queued job, ordered by its number, so that a job whose run was paused returns to its place."""

    number: int
    job: str = field(compare=False)
    workers: WorkerRange = field(compare=False)


@dataclass(frozen=True, slots=True)
class Held:
    """A job with `slots` workers of the allowed range `workers`; it holds at least `reserved` slots."""

    number: int
    slots: int
    workers: WorkerRange
    reserved: int = 0

    @property
    def taken(self) -> int:
        """Number of slots that other jobs cannot use."""
        return max(self.slots, self.reserved)


class Allotment(NamedTuple):
    """A job and its new number of slots."""

    job: str
    slots: int


class Scheduler:
    """Jobs that wait and jobs that hold slots.

    Jobs start strictly in order: the oldest job starts as soon as its minimum number of workers fits into the free
    slots, and no younger job starts before, so that small jobs never starve a big one. A job whose minimum exceeds the
    cluster (it was accepted on a bigger one) is skipped until there are enough slots. If no job waits, running jobs
    grow into the free slots, the oldest first.
    """

    def __init__(self, *, reserves: bool = False) -> None:
        """`reserves`: the cluster holds a job's minimum until it ends, even if it is scaled below that."""
        self._reserves = reserves
        self._queue: list[Waiting] = []  # in order
        self._waiting: dict[str, Waiting] = {}  # the same by job
        self._held: dict[str, Held] = {}
        self._open = True

    @property
    def waiting(self) -> int:
        """Length of the queue."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """True if no job holds a slot."""
        return not self._held

    @property
    def held(self) -> int:
        """Number of slots that jobs hold."""
        return sum(job.taken for job in self._held.values())

    def position(self, job: str) -> int:
        """The job's place in the queue, from 1; 0 if it does not wait."""
        entry = self._waiting.get(job)
        return 0 if entry is None else self._index(entry) + 1

    def allotment(self, job: str) -> Held | None:
        """The job's allotment; None if it does not run."""
        return self._held.get(job)

    def enqueue(self, job: str, number: int, workers: WorkerRange) -> None:
        """Add a job to the queue, behind jobs with lower numbers."""
        assert job not in self._held
        assert job not in self._waiting
        self._waiting[job] = entry = Waiting(number, job, workers)
        bisect.insort(self._queue, entry)

    def withdraw(self, job: str) -> None:
        """Remove a job from the queue; harmless if it does not wait."""
        entry = self._waiting.pop(job, None)
        if entry is not None:
            del self._queue[self._index(entry)]

    def _index(self, entry: Waiting) -> int:
        return bisect.bisect_left(self._queue, entry)

    def occupy(self, job: str, number: int, workers: WorkerRange, slots: int) -> None:
        """Give slots to a job that was already running when this server started."""
        self._held[job] = self._hold(number, min(max(slots, workers.min), workers.max), workers)

    def _hold(self, number: int, slots: int, workers: WorkerRange) -> Held:
        return Held(number, slots, workers, workers.min if self._reserves else 0)

    def resize(self, job: str, workers: WorkerRange) -> None:
        """Change a job's range of workers. Slots beyond it that are not reserved are free at once."""
        entry = self._waiting.get(job)
        if entry is not None:
            self._waiting[job] = self._queue[self._index(entry)] = replace(entry, workers=workers)
        held = self._held.get(job)
        if held is not None:
            self._held[job] = replace(held, slots=min(held.slots, workers.max), workers=workers)

    def release(self, job: str) -> None:
        """Free the slots of a job; harmless if it holds none."""
        self._held.pop(job, None)

    def close(self) -> None:
        """Stop starting and growing jobs."""
        self._open = False

    def take(self, slots: int) -> list[Allotment]:
        """Return the jobs to start on a cluster of `slots`; they hold their slots from now on."""
        taken: list[Allotment] = []
        while self._open and (head := self._head(slots)) is not None:
            free = slots - self.held
            if head.workers.min > free:
                break
            self.withdraw(head.job)
            self._held[head.job] = self._hold(head.number, min(head.workers.max, free), head.workers)
            taken.append(Allotment(head.job, self._held[head.job].slots))
        return taken

    def grow(self, slots: int) -> list[Allotment]:
        """Grow jobs on a cluster of `slots` and return them with their new slots; none while a job waits for slots."""
        grown: list[Allotment] = []
        if not self._open or self._head(slots) is not None:
            return grown
        for job, held in sorted(self._held.items(), key=lambda item: item[1].number):
            more = min(held.workers.max - held.slots, slots - self.held + held.taken - held.slots)
            if more > 0:
                self._held[job] = replace(held, slots=held.slots + more)
                grown.append(Allotment(job, held.slots + more))
        return grown

    def _head(self, slots: int) -> Waiting | None:
        return next((entry for entry in self._queue if entry.workers.min <= slots), None)
