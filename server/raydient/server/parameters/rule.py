"""The rule of a job's updates, from the training part of its specification."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raydient.spec.training import Training
from raydient.steps.arrays import Vector

from .optimizers import OPTIMIZERS, Optimizer


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


def build_rule(training: Training) -> UpdateRule:
    """Build the rule of a job's training. Its learning rate is constant."""
    settings = training.optimizer.value.model_dump()
    rate: float = settings.pop("learning_rate")
    return UpdateRule(OPTIMIZERS[training.optimizer.kind](**settings), lambda step: rate)
