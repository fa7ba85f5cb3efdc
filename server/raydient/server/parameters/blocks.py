"""Blocks of a vector, worked on by several threads; every operation is element by element, so neither changes a bit."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain

import numpy as np

from raydient.steps.arrays import Vector, aligned_zeros
from raydient.steps.gradient import Table, between

BLOCK = 1 << 17
"""Values per block: 512 KiB. Smaller ones spend more in calls, and threads in handing each other the interpreter."""
PARALLEL_FROM = 1 << 20
"""Values from which a second thread pays, the workers' cores idling meanwhile; below, waking it costs what it saves."""


@dataclass(slots=True)
class Block:
    """A stretch of the vector, and scratch arrays of its length: for rules, for old weights and for the reduction."""

    start: int
    stop: int
    free: Sequence[Vector]
    before: Vector
    room: Sequence[Vector]

    @classmethod
    def within(cls, scratch: Sequence[Vector], start: int, stop: int) -> "Block":
        """Return a block that uses these arrays, which are at least as long."""
        first, second, before, *room = (array[: stop - start] for array in scratch)
        return cls(start, stop, (first, second), before, room)

    def of(self, vector: Vector) -> Vector:
        """Return the block's part of a vector; a view."""
        return vector[self.start : self.stop]


class Blocks:
    """The blocks of one vector, and the scratch memory for as many as are worked on at a time."""

    def __init__(self, size: int, depth: int, threads: int, executor: Executor) -> None:
        """`depth` bounds the height of the reduction tree; `executor` runs all threads but the first."""
        self.size = size
        self._executor = executor
        self._threads = threads if size >= PARALLEL_FROM else 1
        width = min(BLOCK, size)
        self._scratch = [[aligned_zeros((width,), np.float32) for _ in range(depth + 3)] for _ in range(self._threads)]

    def each(
        self,
        without: Sequence[Table],
        work: Callable[[Block], float],
        done: Callable[[int], None] = lambda stop: None,
    ) -> list[float]:
        """Call `work` for every block, by several threads where that pays, and return the results in order.

        Args:
            without: tables that no block covers.
            work: must not touch what lies outside its block.
            done: is called with the end of each block of the calling thread, which has the first ones, except the last
                of the vector.
        """
        blocks = self._split(without)
        threads = self._threads if sum(stop - start for start, stop in blocks) >= PARALLEL_FROM else 1

        @np.errstate(all="ignore")  # the caller reports an overflow, with the norm
        def part(thread: int) -> list[float]:
            results = []
            for start, stop in blocks[len(blocks) * thread // threads : len(blocks) * (thread + 1) // threads]:
                results.append(work(Block.within(self._scratch[thread], start, stop)))
                if thread == 0 and stop < self.size:
                    done(stop)
            return results

        others = [self._executor.submit(part, thread) for thread in range(1, threads)]
        return list(chain(part(0), *(other.result() for other in others)))

    def _split(self, without: Sequence[Table]) -> list[tuple[int, int]]:
        """Begin and end of each block; all end at multiples of BLOCK or where a table that is left out begins."""
        return [
            (max(where.start, start), min(where.stop, start + BLOCK))
            for where in between(without, 0, self.size)
            for start in range(where.start // BLOCK * BLOCK, where.stop, BLOCK)
        ]
