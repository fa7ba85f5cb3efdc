"""One update of the weights: sum the contributions in tree order and apply the optimizer, block by block.

Blocks are small enough that a block's sum is still in the cache when the optimizer reads it: each gradient crosses the
memory bus once. Every operation is element by element, so blocks and threads change no bit. Of a table of which few
rows are in use only those rows are summed, and only they are updated where the others would stay as they are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import chain

import numpy as np

from raydient.steps.arrays import Floats, Vector, aligned_zeros
from raydient.steps.gradient import Gradient, Table, between
from raydient.steps.layout import Average, Frozen, Kind, Learned, Parameter
from raydient.steps.sparse import Numbers
from raydient.steps.tree import Node

from .health import LayerMeter
from .optimizers import Optimizer
from .rows import few_rows
from .sums import sum_within

BLOCK = 1 << 17
"""Values per block: 512 KiB. Smaller ones spend more in calls, and threads in handing each other the interpreter."""
PARALLEL_FROM = 1 << 20
"""Values from which a second thread pays, the workers' cores idling meanwhile; below, waking it costs what it saves."""


class Updater:
    """Updates one vector of weights and its optimizer state in place; owns the scratch memory for that."""

    def __init__(
        self,
        weights: Vector,
        state: Sequence[Vector],
        depth: int,
        threads: int,
        executor: Executor,
        *,
        parameters: Sequence[Parameter] = (),
        tables: Sequence[Table] = (),
        updated: Callable[[int], None] = lambda stop: None,
    ) -> None:
        """`depth` bounds the height of the reduction tree; `threads` blocks are updated at a time.

        `parameters`, in order, say by their kinds how values are updated; the optimizer alone updates all others. The
        gradient of a penalty, l1 sign(w) + 2 l2 w, is added once, to the sum. Of moving averages and of what is frozen
        the gradient has no part in the norm.
        `tables`, in order, have row-sparse gradients.
        `updated` hears, in the thread that calls `apply`, how many weights from the first on have their new values.
        """
        self._weights, self._state = weights, state
        size = self._size = len(weights)
        self._threads = threads if size >= PARALLEL_FROM else 1
        self._executor, self._updated, self._tables = executor, updated, tables
        self._resting = [p for p in parameters if not isinstance(p.kind, Learned)]
        self._penalties = [
            (p, p.kind.l1, p.kind.l2) for p in parameters if isinstance(p.kind, Learned) and (p.kind.l1 or p.kind.l2)
        ]
        self._frozen = {p.offset for p in parameters if isinstance(p.kind, Frozen)}
        width = min(BLOCK, size)
        self._scratch = [[aligned_zeros((width,), np.float32) for _ in range(depth + 3)] for _ in range(self._threads)]
        # Sums of rows amid the zeros of those that are not in use, within `apply`; else all zero.
        self._spread_out = aligned_zeros((size if tables else 0,), np.float32)

    def apply(
        self,
        optimizer: Optimizer,
        step: int,
        contributions: Mapping[Node, Gradient],
        root: Node,
        meter: LayerMeter | None = None,
    ) -> float:
        """Make update number `step`; the squared norm of the summed gradient, not finite if the gradient is not.

        `contributions` are nodes of the tree that together hold each leaf of `root` once; they are left as they were.
        `meter` gets the gradient and the update.
        """
        vectors = {node: gradient.vector for node, gradient in contributions.items()}
        few = few_rows(self._tables, contributions)
        alone = [rows for rows in few if self._others_rest(rows.table, optimizer)]
        spread = [rows for rows in few if rows not in alone]
        blocks = self._blocks([rows.table for rows in alone])
        threads = self._threads if sum(stop - start for start, stop in blocks) >= PARALLEL_FROM else 1

        # What overflows is the caller's to tell, with the norm.
        @np.errstate(all="ignore")
        def part(thread: int) -> list[float]:
            squares = []
            for start, stop in blocks[len(blocks) * thread // threads : len(blocks) * (thread + 1) // threads]:
                room = [array[: stop - start] for array in self._scratch[thread]]
                weights, before = self._weights[start:stop], room[2]
                gradient = self._sum(vectors, root, (start, stop), [rows.table for rows in spread], room)
                gradient = self._penalized(gradient, start, stop, room)
                if meter is not None:
                    np.copyto(before, weights)
                for a, b, kind in self._stretches(start, stop):
                    w, g, free = (array[a - start : b - start] for array in (weights, gradient, room[0]))
                    square = float(np.dot(g, g))
                    if isinstance(kind, Learned):
                        squares.append(square)
                        state = [array[a:b] for array in self._state]
                        optimizer.update(step, w, g, state, (free, room[1][a - start : b - start]))
                    else:
                        squares.append(0.0 * square)  # NaN if that is not finite
                        if isinstance(kind, Average):
                            _average(w, g, kind.momentum, free)
                if meter is not None:
                    meter.add_gradient(start, gradient)
                    meter.add_update(start, before, weights)
                if thread == 0 and stop < self._size:
                    self._updated(stop)
            return squares

        for rows in spread:
            self._spread(rows.table, rows.sums(contributions, root))
        # Rows first: once a block is told to be updated, so is all before it.
        squares = [
            self._update_rows(optimizer, step, rows.table, rows.sums(contributions, root), meter)
            for rows in alone
            if rows.table.offset not in self._frozen
        ]
        others = [self._executor.submit(part, thread) for thread in range(1, threads)]
        # Added block by block, whichever thread had them: the sum is the same for any number of threads.
        total = sum(chain(squares, part(0), *(other.result() for other in others)))
        self._updated(self._size)
        for rows in spread:
            rows.table.values(self._spread_out)[rows.numbers] = 0
        return total

    def _blocks(self, without: Sequence[Table]) -> list[tuple[int, int]]:
        """Begin and end of each block, these tables left out; all end at multiples of BLOCK or where a table begins."""
        return [
            (max(where.start, start), min(where.stop, start + BLOCK))
            for where in between(without, 0, self._size)
            for start in range(where.start // BLOCK * BLOCK, where.stop, BLOCK)
        ]

    def _others_rest(self, table: Table, optimizer: Optimizer) -> bool:
        """True if the rows of a table that are not in use keep weights and state, bit by bit."""
        penalized = any(parameter.offset == table.offset for parameter, _, _ in self._penalties)
        return table.offset in self._frozen or (optimizer.rests_at_zero and not penalized)

    @np.errstate(all="ignore")
    def _update_rows(
        self,
        optimizer: Optimizer,
        step: int,
        table: Table,
        sums: Iterable[tuple[Numbers, Floats]],
        meter: LayerMeter | None,
    ) -> float:
        """Update rows alone, by an optimizer that remembers nothing; the squared norm of their gradient."""
        values, total = table.values(self._weights), 0.0
        if meter is not None:
            meter.add_table(table.offset, values.reshape(-1))
        for numbers, gradient in sums:
            before = values.take(numbers, axis=0)
            after = before if meter is None else before.copy()
            optimizer.update(step, after, gradient, (), (np.empty_like(after), np.empty_like(after)))
            values[numbers] = after
            total += float(np.vdot(gradient, gradient))
            if meter is not None:
                meter.add_rows(table.offset, gradient, before, after)
        return total

    @np.errstate(all="ignore")
    def _spread(self, table: Table, sums: Iterable[tuple[Numbers, Floats]]) -> None:
        values = table.values(self._spread_out)
        for numbers, gradient in sums:
            values[numbers] = gradient

    def _sum(
        self,
        vectors: Mapping[Node, Vector],
        root: Node,
        block: tuple[int, int],
        spread: Sequence[Table],
        room: Sequence[Vector],
    ) -> Vector:
        """The summed gradient of a block, of these tables as it is spread out."""
        start, stop = block
        pieces = list(between(spread, start, stop))
        if pieces == [slice(start, stop)]:
            return sum_within(vectors, root, pieces[0], room[3:])
        if not pieces:
            return self._spread_out[start:stop]
        np.copyto(room[3], self._spread_out[start:stop])
        for piece in pieces:
            part = [array[piece.start - start : piece.stop - start] for array in room[3:]]
            np.copyto(part[0], sum_within(vectors, root, piece, part))
        return room[3]

    def _penalized(self, gradient: Vector, start: int, stop: int, room: Sequence[Vector]) -> Vector:
        """The gradient of a block with that of the penalties; contributions are left as they were."""
        for parameter, l1, l2 in self._penalties:
            first, last = max(parameter.offset, start), min(parameter.stop, stop)
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

    def _stretches(self, start: int, stop: int) -> Iterator[tuple[int, int, Kind]]:
        """A block by what is done there: begin, end and kind; penalties apart."""
        for parameter in self._resting:
            first, last = max(parameter.offset, start), min(parameter.stop, stop)
            if first < last:
                if start < first:
                    yield start, first, Learned()
                yield first, last, parameter.kind
                start = last
        if start < stop:
            yield start, stop, Learned()


def _average(weights: Vector, statistic: Vector, momentum: float, scratch: Vector) -> None:
    """Move the average, element by element as optimizers work."""
    np.multiply(statistic, np.float32(1 - momentum), out=scratch)
    weights *= np.float32(momentum)
    weights += scratch
