"""Blocks of a vector, divided among threads. Operations are element by element, so the division changes no bit."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from raydient.steps.arrays import Vector, aligned_zeros
from raydient.steps.gradient import Table, between

Result = TypeVar("Result")

BLOCK = 1 << 19
"""Values per block: 2 MiB. The calls of a block take some 30 us, and in larger blocks the operations of an update find
less in the cache; `benchmarks/adam.py` has its best time here.
"""
PARALLEL_FROM = 1 << 20
"""Use a second thread from this number of values on. The workers' cores are idle meanwhile, but for a smaller vector
waking the thread takes as long as it saves.
"""


@dataclass(slots=True)
class Block:
    """A part of the vector, with scratch arrays of its length.

    Attributes:
        start, stop: half-open range of values.
        free: two arrays for the update rule.
        before: array for the weights before the update.
        room: arrays for the reduction, one for each level of the tree.
    """

    start: int
    stop: int
    free: Sequence[Vector]
    before: Vector
    room: Sequence[Vector]

    @classmethod
    def within(cls, scratch: Sequence[Vector], start: int, stop: int) -> "Block":
        """Return a block that uses the beginning of each array in `scratch`, which are at least as long."""
        first, second, before, *room = [array[: stop - start] for array in scratch]
        return cls(start, stop, (first, second), before, room)

    def of(self, vector: Vector) -> Vector:
        """Return the block's part of a vector; a view."""
        return vector[self.start : self.stop]


class Blocks:
    """The blocks of one vector, and the scratch memory for as many as are worked on at a time.

    Attributes:
        bounds: bounds of the pieces of the vector, from 0 on. A block has whole pieces.
        size: values of the vector.
    """

    def __init__(self, bounds: Sequence[int], depth: int, threads: int, executor: Executor) -> None:
        """`depth` bounds the height of the reduction tree; `executor` runs all threads but the first."""
        self.bounds, self.size = bounds, bounds[-1]
        self._executor = executor
        self._threads = threads if self.size >= PARALLEL_FROM else 1
        self._divided: dict[tuple[int, ...], list[tuple[int, int]]] = {}  # by the tables that are left out
        width = max((stop - start for start, stop in self._split(())), default=0)
        self._scratch = [[aligned_zeros((width,), np.float32) for _ in range(depth + 3)] for _ in range(self._threads)]

    def each(
        self,
        without: Sequence[Table],
        work: Callable[[Block], Result],
        done: Callable[[int], None] = lambda stop: None,
    ) -> list[Result]:
        """Call `work` for every block, by several threads where that pays, and return the results in order.

        Args:
            without: tables that no block covers.
            work: must not write outside its block.
            done: is called with the end of each block that the calling thread has finished, except the last of the
                vector. The calling thread has the first blocks.
        """
        blocks = self._split(without)
        threads = self._threads if sum(stop - start for start, stop in blocks) >= PARALLEL_FROM else 1

        def part(thread: int) -> list[Result]:
            results = []
            # The caller reports an overflow, with the norm. As a decorator, errstate takes 2 us more.
            with np.errstate(all="ignore"):
                for start, stop in blocks[len(blocks) * thread // threads : len(blocks) * (thread + 1) // threads]:
                    results.append(work(Block.within(self._scratch[thread], start, stop)))
                    if thread == 0 and stop < self.size:
                        done(stop)
            return results

        futures = [self._executor.submit(part, thread) for thread in range(1, threads)]
        results = part(0)
        for future in futures:
            results += future.result()
        return results

    def _split(self, without: Sequence[Table]) -> list[tuple[int, int]]:
        """Return begin and end of each block: as many pieces as fit into BLOCK, at least one, all outside `without`."""
        key = tuple(table.offset for table in without)
        if key not in self._divided:
            self._divided[key] = [
                block
                for where in between(without, 0, self.size)
                for block in self._fill(bisect_left(self.bounds, where.start), bisect_left(self.bounds, where.stop))
            ]
        return self._divided[key]

    def _fill(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the blocks of the pieces between two bounds."""
        cuts = [first]
        for bound in range(first + 1, last):
            if self.bounds[bound + 1] - self.bounds[cuts[-1]] > BLOCK:
                cuts.append(bound)
        return [(self.bounds[a], self.bounds[b]) for a, b in pairwise([*cuts, last])]
