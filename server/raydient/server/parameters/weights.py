"""The weights, the optimizer's state, and their change by a gradient: each parameter by its kind."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from raydient.steps.arrays import Floats, Vector
from raydient.steps.gradient import Table
from raydient.steps.layout import Average, Frozen, Kind, Learned, Parameter
from raydient.steps.sparse import Numbers, put

from .blocks import Block
from .health import PieceMeter
from .optimizers import Vectors
from .rule import UpdateRule
from .state import State

_LEARNED = Learned()
_Arrays = tuple[Floats, Floats, Vectors, Vectors]
"""Weights, gradient, state and free arrays."""


class Weights:
    """A vector of weights and its optimizer state, changed in place. Threads may work on different blocks at a time.

    Attributes:
        vector: the weights, (size,).
        rule: the update rule of all parameters that are learned.
        parameters: parameters of the vector, in order. Values outside them are learned.
        average: the moving average of the weights, (size,); None without one.
    """

    def __init__(
        self,
        vector: Vector,
        state: Sequence[Vector],
        rule: UpdateRule,
        parameters: Sequence[Parameter] = (),
        average: Vector | None = None,
    ) -> None:
        """`state` has the arrays of the rule's optimizer, see `State`."""
        self.vector, self.rule, self.parameters, self.average = vector, rule, parameters, average
        by_rows = [Table(p.offset, *p.shape) for p in parameters if p.sparse and rule.rowwise is not None]
        self._state = State(state, by_rows)
        self._not_learned = [p for p in parameters if not isinstance(p.kind, Learned)]
        self._frozen = {p.offset for p in parameters if isinstance(p.kind, Frozen)}
        self._decaying = {p.offset: p.stop for p in parameters if rule.decay and rule.decay.concerns(p) and p.size}

    def are_frozen(self, table: Table) -> bool:
        """Return True if no update changes a table."""
        return table.offset in self._frozen

    def decays(self, table: Table) -> bool:
        """Return True if an update changes all rows of a table."""
        return table.offset in self._decaying

    def square(self, start: int, gradient: Vector) -> float:
        """Return the squared norm of the gradient by what is learned; not finite if any value is not.

        The gradient is that of the values from `start` on.
        """
        total = 0.0
        for first, last, kind in self._stretches(start, start + len(gradient)):
            part = gradient[first - start : last - start]
            square = float(np.dot(part, part))
            total += square if isinstance(kind, Learned) else 0.0 * square  # NaN if that is not finite
        return total

    def limit(self, block: Block, gradient: Vector) -> Vector:
        """Return the gradient of a block with its learned values clipped to the rule's limit, in `block.room[0]`."""
        clipped = block.room[0]
        if gradient is not clipped:
            np.copyto(clipped, gradient)
        self._limit(block, clipped)
        return clipped

    def _limit(self, block: Block, gradient: Vector) -> None:
        assert self.rule.limit is not None, "values are not clipped"
        for start, stop, kind in self._stretches(block.start, block.stop):
            if isinstance(kind, Learned):
                _clip(gradient[start - block.start : stop - block.start], self.rule.limit)

    def clip(self, block: Block, gradient: Vector, factors: Mapping[str, float]) -> None:
        """Clip the learned values of a block's gradient in place: by the factors of parameters, 1 by default, and by
        the rule's limit.
        """
        for parameter in self.parameters if factors else ():
            first, last = max(parameter.offset, block.start), min(parameter.stop, block.stop)
            if first < last and parameter.name in factors and isinstance(parameter.kind, Learned):
                gradient[first - block.start : last - block.start] *= np.float32(factors[parameter.name])
        if self.rule.limit is not None:
            self._limit(block, gradient)

    def direct(self, step: int, block: Block, gradient: Vector) -> None:
        """Replace a block's gradient in update number `step` by its direction, see `LayerwiseOptimizer`."""
        optimizer = self.rule.layerwise
        assert optimizer is not None, "not an optimizer with trust ratios"
        for start, stop, kind in self._stretches(block.start, block.stop):
            if isinstance(kind, Learned):
                for arrays in self._parts(start, stop, block, gradient):
                    optimizer.direct(step, *arrays)

    def change(
        self,
        step: int,
        block: Block,
        gradient: Vector,
        meter: PieceMeter | None,
        ratios: Mapping[str, float] | None = None,
    ) -> None:
        """Make a block's part of update number `step`; `ratios` are factors of the rate by parameter, 1 by default."""
        weights = block.of(self.vector)
        if meter is not None:
            np.copyto(block.before, weights)
        self._decay(step, block)
        for start, stop, kind in self._stretches(block.start, block.stop):
            match kind:
                case Learned() if ratios is not None:
                    self._follow(step, block, gradient, (start, stop), ratios)
                case Learned():
                    for arrays in self._parts(start, stop, block, gradient):
                        self.rule.update(step, *arrays)
                case Average(momentum=momentum):
                    part = slice(start - block.start, stop - block.start)
                    _average(weights[part], gradient[part], momentum, block.free[0][part])
        if meter is not None:
            meter.add_update(block.start, block.before, weights)

    def move_average(self, step: int, block: Block) -> None:
        """Move a block's part of the average to the weights after update number `step`.

        a <- a + (1 - decay) (w - a), the exponential moving average of Polyak and Juditsky (1992) as in Adam's paper
        (Kingma and Ba 2015, section 7.2). It begins as the weights after the first step, as in Keras and PyTorch. This
        form is that of PyTorch's `lerp`: constant weights are their own average, which rounding prevents in
        decay a + (1 - decay) w. Statistics of batch normalization, which are moving averages, and frozen weights are
        copied, as the buffers of PyTorch's `AveragedModel`.
        """
        assert self.average is not None, "the weights are not averaged"
        assert self.rule.average is not None, "the rule has no average"
        for start, stop, kind in self._stretches(block.start, block.stop):
            weights, average = self.vector[start:stop], self.average[start:stop]
            if step == 0 or not isinstance(kind, Learned):
                np.copyto(average, weights)
                continue
            way = block.free[0][: stop - start]
            np.subtract(weights, average, out=way)
            way *= np.float32(1 - self.rule.average)
            average += way

    def _decay(self, step: int, block: Block) -> None:
        for offset, stop in self._decaying.items():
            if offset < block.stop and block.start < stop:
                self.vector[max(offset, block.start) : min(stop, block.stop)] *= self._factor(step)

    def _factor(self, step: int) -> np.float32:
        """Return the factor of the weights that decay in a step."""
        assert self.rule.decay is not None, "weights do not decay"
        return np.float32(self.rule.decay.factor(self.rule.learning_rate(step)))

    def _parts(self, start: int, stop: int, block: Block, gradient: Vector) -> Iterator[_Arrays]:
        """Yield the arrays of an update in the parts of the weights between two values of a block, as in `State`."""
        for part in self._state.parts(start, stop):
            where = slice(part.start - block.start, part.stop - block.start)
            arrays = (block.of(self.vector), gradient, *block.free)
            weights, g, *free = (array[where].reshape(part.shape) for array in arrays)
            yield weights, g, part.state, free

    def _follow(
        self, step: int, block: Block, direction: Vector, where: tuple[int, int], ratios: Mapping[str, float]
    ) -> None:
        """Update the learned parameters between two values, with a factor of the rate for each."""
        for parameter in self.parameters:
            start, stop = max(parameter.offset, where[0]), min(parameter.stop, where[1])
            if start < stop:
                for arrays in self._parts(start, stop, block, direction):
                    self.rule.update(step, *arrays, ratio=ratios[parameter.name])

    @np.errstate(all="ignore")
    def change_rows(
        self,
        step: int,
        table: Table,
        sums: Iterable[tuple[Numbers, Floats]],
        meter: PieceMeter | None,
        factors: Mapping[str, float] = MappingProxyType({}),
    ) -> tuple[float, float]:
        """Make the part of update number `step` in the rows of a table that are in use, in weights and state.

        Returns:
            The squared norm of their gradient, and that after the factor of the table, 1 by default, and clipping.
        """
        values, kept = table.values(self.vector), self._state.of(table)
        name = next((p.name for p in self.parameters if p.offset == table.offset and p.size), "")
        factor, before_clipping, after_clipping = factors.get(name, 1.0), 0.0, 0.0
        if meter is not None:
            meter.add_table(table.offset, values.reshape(-1))
        for numbers, gradient in sums:
            before = values.take(numbers, axis=0)
            after = before if meter is None else before.copy()
            state = [array.take(numbers, axis=0) for array in kept]
            clipped = self._clipped(gradient, factor)
            if table.offset in self._decaying:
                after *= self._factor(step)
            self.rule.update(step, after, clipped, state, (np.empty_like(after), np.empty_like(after)))
            put(values, numbers, after)
            for array, rows in zip(kept, state, strict=True):
                put(array, numbers, rows)
            square = float(np.vdot(gradient, gradient))
            before_clipping += square
            after_clipping += square if clipped is gradient else float(np.vdot(clipped, clipped))
            if meter is not None:
                meter.add_rows(table.offset + numbers.astype(np.int64) * table.width, gradient, before, after)
        return before_clipping, after_clipping

    def _clipped(self, gradient: Floats, factor: float) -> Floats:
        """Return a copy of a gradient after clipping; itself where that changes nothing."""
        if factor == 1 and self.rule.limit is None:
            return gradient
        clipped = gradient * np.float32(factor)
        if self.rule.limit is not None:
            _clip(clipped, self.rule.limit)
        return clipped

    def _stretches(self, start: int, stop: int) -> Iterator[tuple[int, int, Kind]]:
        """Yield begin, end and kind of the stretches between two values that have one kind each."""
        for parameter in self._not_learned:
            first, last = max(parameter.offset, start), min(parameter.stop, stop)
            if first < last:
                if start < first:
                    yield start, first, _LEARNED
                yield first, last, parameter.kind
                start = last
        if start < stop:
            yield start, stop, _LEARNED


def _clip(gradient: Floats, limit: float) -> None:
    np.clip(gradient, np.float32(-limit), np.float32(limit), out=gradient)


def _average(weights: Vector, statistic: Vector, momentum: float, free: Vector) -> None:
    """Move an average: w <- momentum w + (1 - momentum) statistic."""
    np.multiply(statistic, np.float32(1 - momentum), out=free)
    weights *= np.float32(momentum)
    weights += free
