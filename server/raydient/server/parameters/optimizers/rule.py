"""The update of the weights by a gradient: the interface of an optimizer, and the rule of a job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from raydient.steps.arrays import Vector


class Optimizer(Protocol):
    """An update rule with the settings of one job, except the learning rate, which may differ from step to step."""

    state: ClassVar[tuple[str, ...]]
    """Names of the arrays that it keeps, a value per parameter; they begin as zeros."""

    rests_at_zero: ClassVar[bool]
    """True if a gradient of 0 leaves weight and state as they are, bit by bit."""

    def update(
        self,
        step: int,
        weights: Vector,
        gradient: Vector,
        state: Sequence[Vector],
        scratch: Sequence[Vector],
        *,
        rate: float,
    ) -> None:
        """Apply update number `step`, counted from 0, with the learning rate `rate`."""


@dataclass(frozen=True, slots=True)
class UpdateRule:
    """An optimizer with the learning rate of each step and a factor of the gradient.

    Attributes:
        learning_rate: function of the step, counted from 0.
        scale: function of the squared norm of the whole gradient, which is then known before any weight changes: the
            factor of the gradient, as clipping needs it. None leaves the gradient as it is, without that delay.
    """

    optimizer: Optimizer
    learning_rate: Callable[[int], float]
    scale: Callable[[float], float] | None = None

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Sequence[Vector], scratch: Sequence[Vector]
    ) -> None:
        """Apply update number `step`, counted from 0, to a part of the vector, by its gradient after scaling."""
        self.optimizer.update(step, weights, gradient, state, scratch, rate=self.learning_rate(step))
