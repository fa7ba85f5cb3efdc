"""The assignment of a round's leaves to workers. No other module combines workers and leaves."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise

from raydient.steps.tree import Node, children


def divide(first: int, last: int, shares: Sequence[float]) -> list[tuple[int, int]]:
    """Return contiguous ranges of `first`..`last`, one per share and proportional to it; some may be empty."""
    total = sum(shares)
    bounds = [first + round((last - first) * part / total) for part in accumulate(shares, initial=0.0)]
    return list(pairwise(bounds))


@cache
def nodes(leaves: int) -> frozenset[Node]:
    """Return all nodes of the reduction tree over `leaves` leaves."""

    def walk(node: Node) -> Iterator[Node]:
        yield node
        if node[1] - node[0] > 1:
            for child in children(node):
                yield from walk(child)

    return frozenset(walk((0, leaves))) if leaves else frozenset()


class Assignments:
    """The leaves of one round. Each is done, being computed by an attached worker, or waiting for one.

    Attributes:
        leaves: number of leaves.
        missing: numbers of the leaves that are not done.
    """

    def __init__(self, leaves: int) -> None:
        self.leaves = leaves
        self.missing = set(range(leaves))
        self._worker: dict[int, int] = {}  # leaf to the worker that computes it
        self._pushes: Counter[int] = Counter()  # by worker

    @property
    def complete(self) -> bool:
        """True if all leaves are done."""
        return not self.missing

    @property
    def owing(self) -> Mapping[int, int]:
        """Number of leaves that are assigned and not done, by worker."""
        return Counter(self._worker[leaf] for leaf in self.missing if leaf in self._worker)

    @property
    def _waiting(self) -> set[int]:
        return self.missing - self._worker.keys()

    @property
    def waits(self) -> bool:
        """True if a leaf is neither done nor assigned."""
        return bool(self._waiting)

    def waiting(self, first: int, last: int) -> bool:
        """Return True if none of these leaves is done or assigned."""
        return self._waiting.issuperset(range(first, last))

    def held(self, worker: int) -> int:
        """Return the number of sums over nodes that a worker has pushed."""
        return self._pushes[worker]

    def accepts(self, node: Node) -> bool:
        """Return True if `node` is a node of the tree and none of its leaves is done."""
        return node in nodes(self.leaves) and self.missing.issuperset(range(*node))

    def done(self, node: Node) -> None:
        """Note that the sum over a node has arrived."""
        self.missing.difference_update(range(*node))
        if node[0] in self._worker:
            self._pushes[self._worker[node[0]]] += 1

    def forget(self, worker: int) -> None:
        """Take back the leaves that a worker has not pushed; they wait for another worker."""
        self._worker = {leaf: w for leaf, w in self._worker.items() if w != worker}
        del self._pushes[worker]

    def first_waiting(self, count: int) -> tuple[int, int]:
        """Return the first range of leaves that wait, at most `count` of them. ValueError if none waits."""
        first, last = min(_runs(sorted(self._waiting)))
        return first, min(last, first + count)

    def assign(self, worker: int, first: int, last: int) -> None:
        """Assign leaves that wait to a worker."""
        self._worker.update(dict.fromkeys(range(first, last), worker))

    def hand_out(self, workers: Sequence[int], shares: Sequence[float]) -> Iterator[tuple[int, int, int]]:
        """Divide all waiting leaves among these workers; yield (worker, first, last) for each range, none empty."""
        for run_first, run_last in _runs(sorted(self._waiting)):
            for worker, (first, last) in zip(workers, divide(run_first, run_last, shares), strict=True):
                if first < last:
                    self.assign(worker, first, last)
                    yield worker, first, last


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the half-open ranges of consecutive numbers."""
    start = 0
    for i in range(1, len(numbers) + 1):
        if i == len(numbers) or numbers[i] != numbers[i - 1] + 1:
            yield numbers[start], numbers[i - 1] + 1
            start = i
