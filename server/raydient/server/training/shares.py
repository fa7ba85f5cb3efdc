"""The division of a step's leaves among workers of unequal speed. Functions of numbers; no state."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace
from statistics import median

from raydient.server.parameters.assignments import divide
from raydient.steps.tree import maximal_subtrees

GAIN = 0.1
"""An unequal division is used if it shortens the slowest worker's part of a step by at least this share."""
IDLE_SHARE = 1e-6
"""The share of a worker that gets no leaf. Above 0, so that it takes over all leaves if every other worker is lost."""

Division = Mapping[int, float]
"""Share by worker, in the order in which the workers get their ranges."""


def division(leaves: int, workers: Sequence[int], paces: Mapping[int, float]) -> Division:
    """Return the division of `leaves` leaves: equal shares, unless an unequal division is faster by GAIN.

    Args:
        leaves: number of leaves of a whole step.
        workers: the workers, in the order in which an equal division gives them their ranges.
        paces: seconds per leaf by worker; a worker without one counts as the median of the others.
    """
    equal = dict.fromkeys(workers, 1.0)
    if not paces.keys() & equal.keys():
        return equal
    counts = fastest_counts(leaves, workers, paces)
    unequal = {worker: counts[worker] or IDLE_SHARE for worker in in_tree_order(leaves, counts)}
    faster = slowest_seconds(leaves, unequal, paces) <= (1 - GAIN) * slowest_seconds(leaves, equal, paces)
    return unequal if faster else equal


def slowest_seconds(leaves: int, shares: Division, paces: Mapping[int, float]) -> float:
    """Return the seconds that the slowest worker computes in a step divided by these shares."""
    seconds = _complete(list(shares), paces)
    return max((count * seconds[worker] for worker, count in _counts(leaves, shares).items()), default=0.0)


def with_leaves(leaves: int, shares: Division) -> set[int]:
    """Return the workers that get at least one leaf."""
    return {worker for worker, count in _counts(leaves, shares).items() if count}


def fastest_counts(leaves: int, workers: Sequence[int], paces: Mapping[int, float]) -> dict[int, int]:
    """Return the number of leaves by worker for which the slowest worker takes the least time.

    Each leaf in turn goes to the worker that would complete it first, which is optimal for equal leaves.
    """
    seconds = _complete(workers, paces)
    counts = dict.fromkeys(workers, 0)
    heap = [(seconds[worker], place, worker) for place, worker in enumerate(workers)]
    heapify(heap)
    for _ in range(leaves):
        _, place, worker = heap[0]
        counts[worker] += 1
        heapreplace(heap, ((counts[worker] + 1) * seconds[worker], place, worker))
    return counts


def in_tree_order(leaves: int, counts: Mapping[int, int]) -> list[int]:
    """Return the workers in an order in which their ranges need few pushes.

    A range of n leaves needs at least as many pushes as n has binary digits 1. Next comes the worker whose range needs
    the fewest beyond that, and among these the largest range.
    """
    waiting, order, first = list(counts), list[int](), 0
    while waiting:
        excess = {worker: _pushes(first, counts[worker], leaves) - counts[worker].bit_count() for worker in waiting}
        chosen = min(waiting, key=lambda worker: (excess[worker], -counts[worker]))
        waiting.remove(chosen)
        order.append(chosen)
        first += counts[chosen]
    return order


def _counts(leaves: int, shares: Division) -> dict[int, int]:
    ranges = divide(0, leaves, list(shares.values())) if shares else []
    return {worker: last - first for worker, (first, last) in zip(shares, ranges, strict=True)}


def _pushes(first: int, count: int, leaves: int) -> int:
    return sum(1 for _ in maximal_subtrees(first, first + count, leaves))


def _complete(workers: Sequence[int], paces: Mapping[int, float]) -> dict[int, float]:
    """Return the seconds per leaf of every worker; the median of the known ones where it is not known."""
    known = [paces[worker] for worker in workers if worker in paces]
    usual = median(known) if known else 1.0
    return {worker: paces.get(worker, usual) for worker in workers}
