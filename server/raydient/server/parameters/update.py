"""One update of the weights: sum the contributions in tree order and apply the optimizer, block by block.

Blocks are small enough that a block's sum is still in the cache when the optimizer reads it: each gradient crosses the
memory bus once. Every operation is element by element, so blocks and threads change no bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import chain
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from raydient.wire.layout import FROZEN
from raydient.wire.tree import Node, children

from .health import LayerMeter
from .optimizers import Array, Optimizer

Real = TypeVar("Real", np.float32, np.float64)

BLOCK = 1 << 17
"""Values per block: 512 KiB. Smaller ones spend more in calls, and threads in handing each other the interpreter."""
PARALLEL_FROM = 1 << 20
"""Values from which a second thread pays, the workers' cores idling meanwhile; below, waking it costs what it saves."""


class Updater:
    """Updates one vector of weights and its optimizer state in place; owns the scratch memory for that."""

    def __init__(
        self,
        weights: Array,
        state: Sequence[Array],
        depth: int,
        threads: int,
        executor: Executor,
        *,
        averages: Sequence[tuple[slice, float]] = (),
        penalties: Sequence[tuple[slice, float, float]] = (),
        updated: Callable[[int], None] = lambda stop: None,
    ) -> None:
        """`depth` bounds the height of the reduction tree; `threads` blocks are updated at a time.

        `averages` are the places of moving averages, in order, and their momentum: there w <- momentum w +
        (1 - momentum) g instead of the optimizer's rule, and g has no part in the norm.
        `penalties` are places with l1 and l2: there the gradient is that of l1 · Σ |w| + l2 · Σ w² besides the loss,
        l1 sign(w) + 2 l2 w more, added once, to the sum.
        `updated` hears, in the thread that calls `apply`, how many weights from the first on have their new values.
        """
        self._weights, self._state = weights, state
        size = self._size = len(weights)
        self._threads = threads if size >= PARALLEL_FROM else 1
        self._executor, self._updated, self._averages = executor, updated, averages
        self._penalties = penalties
        width = min(BLOCK, size)
        self._scratch = [[np.empty(width, np.float32) for _ in range(depth + 3)] for _ in range(self._threads)]

    def apply(
        self,
        optimizer: Optimizer,
        step: int,
        contributions: Mapping[Node, Array],
        root: Node,
        meter: LayerMeter | None = None,
    ) -> float:
        """Make update number `step`; the squared norm of the summed gradient, not finite if the gradient is not.

        `contributions` are nodes of the tree that together hold each leaf of `root` once; they are left as they were. A
        contribution may be longer than the weights; what is behind their length is not looked at. `meter` gets the
        gradient and the update.
        """
        bounds = [self._size * i // self._threads // BLOCK * BLOCK for i in range(self._threads)] + [self._size]

        # What overflows is the caller's to tell, with the norm.
        @np.errstate(all="ignore")
        def part(thread: int) -> list[float]:
            scratch, squares = self._scratch[thread], []
            for start in range(bounds[thread], bounds[thread + 1], BLOCK):
                stop = min(start + BLOCK, bounds[thread + 1])
                room = [array[: stop - start] for array in scratch]
                weights, before = self._weights[start:stop], room[2]
                gradient = _sum(contributions, root, slice(start, stop), room, 3)
                gradient = self._penalized(gradient, start, stop, room)
                if meter is not None:
                    np.copyto(before, weights)
                for a, b, momentum in self._stretches(start, stop):
                    w, g, free = (array[a - start : b - start] for array in (weights, gradient, room[0]))
                    square = float(np.dot(g, g))
                    if momentum is None:
                        squares.append(square)
                        state = [array[a:b] for array in self._state]
                        optimizer.update(step, w, g, state, (free, room[1][a - start : b - start]))
                    else:
                        squares.append(0.0 * square)  # NaN if that is not finite
                        _average(w, g, momentum, free)
                if meter is not None:
                    meter.add_gradient(start, gradient)
                    meter.add_update(start, before, weights)
                if thread == 0:
                    self._updated(stop)
            return squares

        others = [self._executor.submit(part, thread) for thread in range(1, self._threads)]
        # Added block by block, whichever thread had them: the sum is the same for any number of threads.
        total = sum(chain(part(0), *(other.result() for other in others)))
        if others:
            self._updated(self._size)
        return total

    def _penalized(self, gradient: Array, start: int, stop: int, room: Sequence[Array]) -> Array:
        """The gradient of a block with that of the penalties; contributions are left as they were."""
        for where, l1, l2 in self._penalties:
            first, last = max(where.start, start), min(where.stop, stop)
            if first >= last:
                continue
            if gradient is not room[3]:
                np.copyto(room[3], gradient)
                gradient = room[3]
            w, g, free = self._weights[first:last], gradient[first - start : last - start], room[0][: last - first]
            if l2:
                np.multiply(w, np.float32(2 * l2), out=free)
                g += free
            if l1:
                np.sign(w, out=free)
                free *= np.float32(l1)
                g += free
        return gradient

    def _stretches(self, start: int, stop: int) -> Iterator[tuple[int, int, float | None]]:
        """A block by what is done there: begin, end, and the momentum where there is a moving average."""
        for where, momentum in self._averages:
            first, last = max(where.start, start), min(where.stop, stop)
            if first < last:
                if start < first:
                    yield start, first, None
                yield first, last, momentum
                start = last
        if start < stop:
            yield start, stop, None


def _average(weights: Array, statistic: Array, momentum: float, scratch: Array) -> None:
    """Move the average, element by element as optimizers work."""
    if momentum == FROZEN:
        return
    np.multiply(statistic, np.float32(1 - momentum), out=scratch)
    weights *= np.float32(momentum)
    weights += scratch


def _sum(contributions: Mapping[Node, Array], node: Node, where: slice, room: Sequence[Array], depth: int) -> Array:
    """The sum over a node, in `room[depth]` unless one contribution is all of it."""
    whole = contributions.get(node)
    if whole is not None:
        return whole[where]
    left, right = children(node)
    a = _sum(contributions, left, where, room, depth)
    b = _sum(contributions, right, where, room, depth + 1)
    return np.add(a, b, out=room[depth])


def tree_sum(contributions: Mapping[Node, NDArray[Real]], node: Node) -> NDArray[Real]:
    """The sum over a node of small arrays, in tree order."""
    whole = contributions.get(node)
    if whole is not None:
        return whole
    left, right = children(node)
    return tree_sum(contributions, left) + tree_sum(contributions, right)
