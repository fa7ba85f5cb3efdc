"""The shard: a range of the flat vector with its optimizer state, which it updates and measures on request."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from raydient.steps.arrays import Vector
from raydient.steps.gradient import Gradient
from raydient.steps.layout import Layout, Learned
from raydient.steps.tree import Node, tree_sum

from .health import PieceMeter
from .requests import (
    Answer,
    Apply,
    Contributions,
    Direct,
    Done,
    Examine,
    Examined,
    Follow,
    Keep,
    Mark,
    Measured,
    Reduce,
    Request,
    RollBack,
    SetRate,
    Show,
    Skip,
    Update,
    root_of,
)
from .update import Updater


class Shard:
    """Answers the requests of the conductor. For one thread.

    All values are counted from the beginning of the range.
    """

    def __init__(
        self,
        layout: Layout,
        updater: Updater,
        meter: PieceMeter,
        gradient: Callable[[Node, Any], Gradient] = lambda node, contribution: contribution,
        *,
        keep: Callable[[], None] = lambda: None,
        show: Callable[[bool], None] = lambda average: None,
        mark: Callable[[], None] = lambda: None,
        roll_back: Callable[[], None] = lambda: None,
    ) -> None:
        """Allocate nothing.

        Args:
            layout: parameters of the range.
            updater: holds the weights of the range and the optimizer's state.
            meter: measures the pieces of the range.
            gradient: returns the gradient by the range of a node and its contribution, see `Contributions`.
            keep: copies the weights to those of the best epoch.
            show: shows the workers the average of the weights, or the weights again.
            mark: copies all vectors to those of the last epoch's end.
            roll_back: makes them those of the last `mark`.
        """
        self._layout, self._updater, self._meter, self._gradient = layout, updater, meter, gradient
        self._keep, self._show, self._mark, self._roll_back = keep, show, mark, roll_back
        self._measuring: Measured | None = None  # between `Reduce` and `Apply` of a measured step

    def answer(self, request: Request) -> Answer:
        """Carry out a request."""
        match request:
            case Update():
                return self._update(request)
            case Reduce():
                return self._reduce(request)
            case Apply(round=round_, factors=factors):
                return self._apply(lambda meter: self._updater.apply(round_.step, factors, meter))
            case Direct(round=round_, factors=factors):
                return Done(self._updater.direct(round_.step, factors).reshape(-1))
            case Follow(round=round_, ratios=ratios):
                return self._apply(lambda meter: self._updater.follow(round_.step, ratios, meter))
            case Examine():
                return self._examine(request)
            case Keep():
                self._keep()
                return Done(np.empty(0))
            case Show(average=average):
                self._show(average)
                return Done(np.empty(0))
            case Mark():
                self._mark()
                return Done(np.empty(0))
            case RollBack(factor=factor):
                self._measuring = None
                self._updater.skip()
                self._roll_back()
                self._updater.rule.learning_rate.factor = factor
                return Done(np.empty(0))
            case Skip():
                self._measuring = None
                self._updater.skip()
                return Done(np.empty(0))
            case SetRate(factor=factor):
                self._updater.rule.learning_rate.factor = factor
                return Done(np.empty(0))

    def _update(self, request: Update) -> Done:
        gradients, root = self._gradients(request.contributions), root_of(request.contributions)
        meter = self._meter if request.measures else None
        self._updater.rule.damp(request.staleness)
        squares = self._updater.update(request.round.step, gradients, root, meter)
        measured = Measured(meter.read(), _active(gradients, root)) if meter is not None else None
        return Done(squares, measured)

    def _reduce(self, request: Reduce) -> Done:
        gradients, root = self._gradients(request.contributions), root_of(request.contributions)
        meter = self._meter if request.measures else None
        self._updater.rule.damp(request.staleness)
        squares = self._updater.reduce(gradients, root, meter)
        self._measuring = Measured(meter.read(), _active(gradients, root)) if meter is not None else None
        return Done(squares)

    def _apply(self, change: Callable[[PieceMeter | None], None]) -> Done:
        meter = self._meter if self._measuring is not None else None
        change(meter)
        measured = None
        if meter is not None and self._measuring is not None:
            measured, self._measuring = Measured(meter.read(), self._measuring.active), None
        return Done(np.empty(0), measured)

    def _examine(self, request: Examine) -> Examined:
        gradients, root = self._gradients(request.contributions), root_of(request.contributions)
        with np.errstate(all="ignore"):
            total = tree_sum({node: gradient.dense() for node, gradient in gradients.items()}, root)
        self._meter.add_gradient(0, total)
        parameters = []
        for parameter in self._layout.parameters:
            values = parameter.view(total).astype(np.float64).reshape(-1)
            finite, learned = bool(np.isfinite(values).all()), isinstance(parameter.kind, Learned)
            parameters.append((parameter.name, finite, float(values @ values) if finite and learned else -1.0))
        active = _active(gradients, root) if request.measures else None
        return Examined(parameters, Measured(self._meter.read(), active))

    def _gradients(self, contributions: Contributions) -> dict[Node, Gradient]:
        return {node: self._gradient(node, contribution) for node, contribution in contributions.items()}


def _active(gradients: Mapping[Node, Gradient], root: Node) -> Vector:
    """Return in how many leaves each unit was active."""
    return tree_sum({node: gradient.active for node, gradient in gradients.items()}, root)
