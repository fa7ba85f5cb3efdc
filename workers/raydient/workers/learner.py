"""Local SGD: a leaf as a learner, which updates weights of its own by the gradients of one batch after the other."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from raydient.steps.arrays import Floats, Vector, aligned_zeros
from raydient.steps.gradient import Gradient, between
from raydient.steps.layout import Learned
from raydient.steps.local import LocalSteps
from raydient.steps.schedule import Round
from raydient.steps.sparse import Numbers, put
from raydient.wire.channel import Channel

from .network import Network, Pass
from .network.layers import Views


class LocalStep(NamedTuple):
    """One forward and backward pass of a leaf.

    Attributes:
        leaf: the leaf.
        start, stop: half-open range of positions of its rows.
        weights: the weights of the pass, bound to the network.
        pass_: keys of the random numbers.
        scale: factor of the summed loss, so that the gradient is the leaf's share of that of a batch's mean loss.
        share: part of the round's rows that the pass has, which weights its statistics.
        before: sum of the gradients of the leaf's passes before; None for the first.
        is_last: True if the leaf's gradient is complete after the pass.
    """

    leaf: int
    start: int
    stop: int
    weights: tuple[Views, ...]
    pass_: Pass
    scale: float
    share: float
    before: Gradient | None
    is_last: bool


class Learner:
    """The local steps of leaves. For one thread.

    A leaf has n of the N rows of a round, and makes its steps, i = 0, 1, ..., on weights w_i that begin as those of the
    round: w_{i+1} = w_i - rate g_i(w_i), with g_i the gradient of the mean loss and of the penalties. Its contribution
    is n / N Σ g_i, so that the rule of `sgd` makes the mean of the learners' weights out of the sum of all
    contributions: w - rate Σ (n / N Σ g_i) = Σ n / N (w - rate Σ g_i). That is federated averaging (McMahan et al.
    2017, algorithm 1), local SGD for equal shares (Stich 2019). The momentum of `sgd` is then one of whole rounds at
    the server: blockwise model-update filtering (Chen and Huo 2016), slow momentum (Wang et al. 2020).

    A leaf of one step has the bits of a synchronous job, in which it is the only kind of leaf. The gradient of the
    penalties at w_0 is not in the contribution, because the server adds it.

    Attributes:
        weights: the weights of the round, bound to the network.
    """

    def __init__(self, network: Network, channel: Channel, seed: int, steps: LocalSteps) -> None:
        """Allocate no memory yet; the first leaf of several steps takes that of two vectors of weights.

        Of tables with row-sparse gradients these have the rows that leaves use.
        """
        self._network, self._channel, self._seed, self._steps = network, channel, seed, steps
        self._own: _OwnWeights | None = None
        self._vector, self.weights = channel.weights, network.bind(channel.weights)

    def begin(self) -> None:
        """Use the weights that the channel has now."""
        if self._channel.weights is not self._vector:
            self._vector = self._channel.weights
            self.weights = self._network.bind(self._vector)

    def steps(
        self,
        round_: Round,
        leaf: int,
        gradient: Gradient,
        rate: float | None,
        *,
        used: Callable[[int, int], Mapping[int, Numbers]] = lambda start, stop: {},
    ) -> Iterator[LocalStep]:
        """Yield the local steps of a leaf, for each of which the caller makes a pass before it takes the next.

        Args:
            round_: a training round.
            leaf: the leaf.
            gradient: has the sum of the gradients of the leaf's passes so far after each pass.
            rate: learning rate of the round; None if no leaf has several steps.
            used: returns the rows of each table that the rows of a range of positions use, by the table's offset.
        """
        parts, every_row = self._steps.parts(round_, leaf), round_.stop - round_.start
        rows = parts[-1][1] - parts[0][0]
        for number, (start, stop) in enumerate(parts):
            own = self._own if number else None
            # 1 / (stop - start) for the mean, times the leaf's share; with one step exactly 1 / every_row
            scale = rows / ((stop - start) * every_row)
            yield LocalStep(
                leaf,
                start,
                stop,
                own.bound if own else self.weights,
                Pass(True, self._seed, round_.step, leaf, number),
                scale,
                share=(stop - start) * (1.0 / every_row),
                before=own.gradient if own else None,
                is_last=number + 1 == len(parts),
            )
            if number + 1 < len(parts):
                assert rate is not None, "the server sends the rate of local steps"
                self._own = self._own or _OwnWeights(self._network, self._channel)
                if not number:
                    self._own.copy_rows(self._channel.weights, used(stop, parts[-1][1]))
                self._own.move(self._channel.weights, gradient, rate, rows / every_row)


class _OwnWeights:
    """The weights of a learner after its first step.

    Attributes:
        gradient: sum of the gradients so far and of the penalties at the weights since, times the learner's share.
        bound: the weights, bound to the network.
    """

    def __init__(self, network: Network, channel: Channel) -> None:
        self._layout = layout = channel.terms.gradient
        self.gradient = layout.zeros()
        self._weights = aligned_zeros((layout.size,), "<f4")
        self.bound = network.bind(self._weights)
        self._dense = list(between(layout.tables, 0, layout.size))
        kinds = [(slice(p.offset, p.stop), p.kind) for p in network.layout.parameters if not p.sparse]
        self._penalized = [(where, k) for where, k in kinds if isinstance(k, Learned) and (k.l1 or k.l2)]
        self._resting = [where for where, kind in kinds if not isinstance(kind, Learned)]

    def copy_rows(self, weights: Vector, used: Mapping[int, Numbers]) -> None:
        """Copy rows of tables from the weights of the round; `used` has their numbers by the table's offset."""
        for table in self._layout.tables:
            numbers = used[table.offset]
            put(table.values(self._weights), numbers, table.values(weights)[numbers])

    def move(self, weights: Vector, gradient: Gradient, rate: float, share: float) -> None:
        """Go to the weights after a step: w - rate (gradient / share + the gradient of the penalties at w).

        Moving averages and frozen weights rest; a leaf's statistics reach them at the server.

        Args:
            weights: the weights of the round.
            gradient: the sum of the gradients of the learner's steps.
            rate: the learning rate.
            share: the part of the round's rows that the learner has, by which gradients are weighted.
        """
        own, sums = self._weights, self.gradient
        np.copyto(sums.active, gradient.active)
        with np.errstate(over="ignore", invalid="ignore"):  # the server finds out about the gradient
            factor = np.float32(rate / share)
            for where in self._dense:
                np.copyto(sums.vector[where], gradient.vector[where])
                np.multiply(gradient.vector[where], factor, out=own[where])
                np.subtract(weights[where], own[where], out=own[where])
            for table, part in zip(self._layout.tables, gradient.tables.values(), strict=True):
                numbers, rows = part.used, part.rows(part.used)
                sums.tables[table.offset].write(numbers, rows)
                put(table.values(own), numbers, table.values(weights)[numbers] - rows * factor)
            for where, kind in self._penalized:
                own[where] -= np.float32(rate) * _penalty(weights[where], kind)
                sums.vector[where] += np.float32(share) * _penalty(own[where], kind)
        for where in self._resting:
            own[where] = weights[where]


def _penalty(weights: Vector, kind: Learned) -> Floats:
    """Return the gradient of l1 · Σ |w| + l2 · Σ w²: l1 sign(w) + 2 l2 w."""
    return np.float32(2 * kind.l2) * weights + np.float32(kind.l1) * np.sign(weights)
