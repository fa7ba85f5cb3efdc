"""The end of a step: the requests to the shards, one after the other, and the verdict on the gradient. No I/O."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raydient.steps.measurements import GradientHealth
from raydient.steps.schedule import Round

from .actions import Diverged
from .clipping import Clipped
from .health import LayerSums
from .norms import ParameterSquares
from .requests import (
    Answer,
    Apply,
    Contributions,
    Direct,
    Done,
    Examine,
    Examined,
    Follow,
    Further,
    Measured,
    Reduce,
    Request,
    Skip,
    Update,
)
from .rule import UpdateRule


class Verdict:
    """Leads a step whose leaves are all done through the shards. For one thread.

    A step takes one request to all shards, `Update`, where the rule does not need the norm of the whole gradient; else
    two, `Reduce` and `Apply`, or three with trust ratios, `Reduce`, `Direct` and `Follow`. `Examine` is put in where
    the loss or the gradient is not finite.

    Attributes:
        health: the gradient health measured last, or that of the step at which training diverged; None before the first
            measurement.
        pending: the request that not every shard has answered; None if no answer is due.
        clipped: the extent to which gradients were clipped; None unless the rule clips.
        skipped: number of steps that were skipped, because the loss or the gradient was not finite.
        skip: description of the last step, if it was skipped.
    """

    def __init__(self, rule: UpdateRule, layers: LayerSums, shards: int) -> None:
        """See `Conductor`."""
        self.health: GradientHealth | None = None
        self.pending: Request | None = None
        self.skipped = 0
        self.skip: Diverged | None = None
        self._rule, self._layers, self._shards = rule, layers, shards
        self._parameters = ParameterSquares(layers.layout)
        self.clipped = Clipped() if rule.clips else None
        self._factors: Mapping[str, float] = {}  # of the gradient that was reduced last
        self._norms = 0.0, 0.0  # squared norms of the last gradient, before and after clipping
        self._loss, self._measures = 0.0, False
        self._answers: dict[int, Answer] = {}
        self._measured: Sequence[Measured | None] = ()  # by the update, while the gradient is examined

    def begin(
        self, round_: Round, contributions: Contributions, loss: float, *, measures: bool = False, staleness: int = 0
    ) -> Request:
        """Return the first request of a step with this mean loss; the other arguments are those of `Update`."""
        self._loss, self.skip, self._measures = loss, None, measures
        kind = Update if self._rule.in_one_pass else Reduce
        return self._ask(kind(round_, contributions, measures, staleness))

    def amend(self, rule: UpdateRule) -> None:
        """Use another rule from the next step on."""
        self._rule = rule
        if not rule.clips:
            self.clipped = None
        elif self.clipped is None:
            self.clipped = Clipped()

    def ask(self, request: Further) -> Request:
        """Return a request besides those of a step."""
        return self._ask(request)

    def take(self, shard: int, answer: Answer) -> bool:
        """Take the answer of a shard to the pending request; return True if every shard has answered.

        ValueError if no such answer of this shard is due.
        """
        if self.pending is None or shard in self._answers or not 0 <= shard < self._shards:
            raise ValueError(f"an answer of shard {shard} that is not due")
        if isinstance(answer, Examined) != isinstance(self.pending, Examine):
            raise ValueError(f"{type(answer).__name__} is no answer to {type(self.pending).__name__}")
        self._answers[shard] = answer
        return len(self._answers) == self._shards

    def go_on(self) -> Request | Diverged | None:
        """Return the next request after the answers of all shards; None if the round is over."""
        request, answers = self.pending, [self._answers[shard] for shard in range(self._shards)]
        assert request is not None, "no request is pending"
        self.pending, self._answers = None, {}
        if isinstance(request, Further | Skip):
            return None
        if isinstance(request, Examine):
            return self._examined(request.round, [a for a in answers if isinstance(a, Examined)])
        return self._done(request, [a for a in answers if isinstance(a, Done)])

    def _ask(self, request: Request) -> Request:
        self.pending = request
        return request

    def _done(self, request: Request, answers: Sequence[Done]) -> Request | None:
        round_, measured = request.round, [answer.measured for answer in answers]
        if isinstance(request, Update | Reduce):
            self._judge(request, [answer.squares for answer in answers])
            if not (np.isfinite(self._norms[0]) and np.isfinite(self._loss)):
                self._measured = measured
                return self._ask(Examine(round_, request.contributions, request.measures))
            if isinstance(request, Reduce):
                return self._ask(self._scaled(round_))
        if isinstance(request, Direct):
            return self._ask(Follow(round_, self._ratios([answer.squares for answer in answers])))
        self._updated(round_, measured)
        return None

    def _examined(self, round_: Round, answers: Sequence[Examined]) -> Request | Diverged | None:
        """End training where it diverged, or skip the step; go on if only the square of a finite gradient overflows."""
        parameter, finite = suspect([entry for answer in answers for entry in answer.parameters])
        if not (finite and np.isfinite(self._loss)):
            self._keep_health(round_, [answer.measured for answer in answers], updated=False)
            if not self._rule.skips:
                return Diverged(round_.kind, round_.step, self._loss, parameter, finite)
            self.skipped += 1
            self.skip = Diverged(round_.kind, round_.step, self._loss, parameter, finite, self.skipped)
            return self._ask(Skip(round_))
        if not self._rule.in_one_pass:
            return self._ask(self._scaled(round_))
        self._updated(round_, self._measured)
        return None

    @np.errstate(all="ignore")
    def _judge(self, request: Update | Reduce, squares: Sequence[NDArray[np.float64]]) -> None:
        """Determine the norms of the gradient before and after clipping, and the factors of a reduced one."""
        if isinstance(request, Update):
            totals = np.sum(squares, axis=0)
            self._norms = float(totals[0]), float(totals[-1])
            return
        by_parameter = self._parameters.of(np.concatenate(squares))
        factors = [1.0] * len(by_parameter) if self._rule.scale is None else self._rule.scale(by_parameter)
        names = (parameter.name for parameter in self._layers.layout.parameters)
        self._factors = {name: factor for name, factor in zip(names, factors, strict=True) if factor != 1}
        self._norms = float(by_parameter.sum()), float((np.square(factors) * by_parameter).sum())

    def _scaled(self, round_: Round) -> Request:
        """Return the request that follows `Reduce` and its verdict."""
        return (Apply if self._rule.layerwise is None else Direct)(round_, self._factors)

    def _ratios(self, squares: Sequence[NDArray[np.float64]]) -> Mapping[str, float]:
        """Return the trust ratio of each parameter, from the shards' answers to `Direct`."""
        optimizer = self._rule.layerwise
        assert optimizer is not None, "not an optimizer with trust ratios"
        columns = np.concatenate([both.reshape(2, -1) for both in squares], axis=1)
        weights, directions = (np.sqrt(self._parameters.of(column)).tolist() for column in columns)
        return {
            parameter.name: optimizer.trust(weight, direction)
            for parameter, weight, direction in zip(self._layers.layout.parameters, weights, directions, strict=True)
        }

    def _updated(self, round_: Round, measured: Sequence[Measured | None]) -> None:
        if self.clipped is not None:
            self.clipped.add(*self._norms)
        if self._measures:
            self._keep_health(round_, measured, updated=True)

    def _keep_health(self, round_: Round, measured: Sequence[Measured | None], *, updated: bool) -> None:
        parts = [part for part in measured if part is not None]
        pieces = np.concatenate([part.pieces for part in parts])
        self.health = self._layers.health(round_.step + 1, pieces, parts[0].active, updated=updated)


def suspect(parameters: Sequence[tuple[str, bool, float]]) -> tuple[str, bool]:
    """Return the parameter that is named if training diverges, and True if the whole gradient is finite.

    It is the parameter nearest to the loss whose gradient is not finite, else the one with the largest gradient.

    Args:
        parameters: see `Examined.parameters`, of all shards in order. Shards may have parts of one parameter.
    """
    squares: dict[str, float] = {}
    for name, finite, square in reversed(parameters):
        if not finite:
            return name, False
        squares[name] = squares.get(name, 0.0) + square
    return max(squares, key=lambda name: squares[name], default=""), True
