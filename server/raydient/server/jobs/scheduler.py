"""Who starts next: first come, first served, on a number of worker slots. Plain logic, neither threads nor I/O."""

import bisect
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True, slots=True)
class Waiting:
    """A queued job; ordered by its number, so one that comes back from an interruption keeps its place."""

    number: int
    job: str = field(compare=False)
    workers: int = field(compare=False)


class Scheduler:
    """Jobs that wait and jobs that hold slots.

    Strictly in order: the oldest job that the cluster could hold at all starts as soon as its workers fit into the free
    slots, and until then no younger one overtakes it, so that a big job is never starved by small ones. A job that
    wants more workers than the cluster has slots (it was accepted by a bigger cluster) is passed over until there
    are enough.
    """

    def __init__(self) -> None:
        self._queue: list[Waiting] = []
        self._held: dict[str, int] = {}
        self._open = True

    @property
    def waiting(self) -> int:
        """Length of the queue."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """No job holds a slot."""
        return not self._held

    @property
    def held(self) -> int:
        """Slots that are held."""
        return sum(self._held.values())

    def positions(self) -> dict[str, int]:
        """Places in the queue from 1 on, by job."""
        return {entry.job: place for place, entry in enumerate(self._queue, 1)}

    def enqueue(self, job: str, number: int, workers: int) -> None:
        """It waits from now on, behind those with lower numbers."""
        assert job not in self._held
        assert job not in self.positions()
        bisect.insort(self._queue, Waiting(number, job, workers))

    def withdraw(self, job: str) -> None:
        """It waits no longer; harmless if it did not."""
        self._queue = [entry for entry in self._queue if entry.job != job]

    def occupy(self, job: str, workers: int) -> None:
        """It runs already, since before this server began."""
        self._held[job] = workers

    def release(self, job: str) -> None:
        """It holds its slots no longer; harmless if it did not."""
        self._held.pop(job, None)

    def close(self) -> None:
        """Nothing starts any more."""
        self._open = False

    def take(self, slots: int) -> list[str]:
        """The jobs to be started now, of `slots` in all; they hold their slots from here on."""
        taken: list[str] = []
        while self._open:
            head = next((entry for entry in self._queue if entry.workers <= slots), None)
            if head is None or head.workers > slots - self.held:
                break
            self._queue.remove(head)
            self._held[head.job] = head.workers
            taken.append(head.job)
        return taken
