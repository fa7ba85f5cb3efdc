"""The rule of a job's updates, from the training part of its specification."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from raydient.spec.ending import Rollback
from raydient.spec.training import Training
from raydient.steps.arrays import Floats
from raydient.steps.schedule import Round, RoundKind, Schedule
from raydient.steps.watched import Watched

from .clipping import Scale, limit_of, scale_of
from .decay import WeightDecay, decay_of
from .optimizers import OPTIMIZERS, LayerwiseOptimizer, Optimizer, RowwiseOptimizer, Vectors, fastest
from .rollback import rate_factor
from .schedules import Rate, build_rate

ONE_STEP = Schedule(train_rows=1, test_rows=0, epochs=1, batch_size=1, microbatches=1)
"""The rounds of a job of one step. A constant learning rate does not depend on the rounds."""


@dataclass(slots=True)
class LearningRate:
    """The learning rate of each update, by its number from 0.

    Attributes:
        schedule: a pure function of the number.
        factor: factor of all rates from now on, which the schedule `plateau` changes.
        damping: factor of the rate of the present step, for its staleness.
    """

    schedule: Rate
    factor: float = 1.0
    damping: float = 1.0

    def __call__(self, step: int) -> float:
        return self.schedule(step) * self.factor * self.damping


@dataclass(frozen=True)
class UpdateRule:
    """An optimizer with the learning rate of each step, the clipping of the gradient and the decay of the weights.

    Attributes:
        learning_rate: function of the step, counted from 0.
        limit: largest absolute value of a gradient's values, which are clipped to it; None if they are not.
        scale: function of the squared norms of the gradient by parameter, which are then known before any weight
            changes: the factor of the gradient by each parameter, as clipping by norms needs it. None leaves the
            gradient as it is, without that delay.
        lazy: leave rows of tables that a step does not use, in weights and state.
        decay: the decay of the weights; None without one.
        skips: leave out steps whose loss or gradient is not finite, which is then known before any weight changes.
        average: decay of the moving average of the weights; None without one.
        rollback: return to the end of the last epoch where the loss or the gradient is not finite; None to end there.
        damps: divide the learning rate of a step by 1 + its staleness.
        local: the leaves of a round make local steps, at the learning rate of the round.
    """

    optimizer: Optimizer
    learning_rate: LearningRate
    limit: float | None = None
    scale: Scale | None = None
    lazy: bool = False
    decay: WeightDecay | None = None
    skips: bool = False
    average: float | None = None
    rollback: Rollback | None = None
    damps: bool = False
    local: bool = False

    def damp(self, staleness: int) -> None:
        """Set the learning rate of the next step for the staleness of its gradient, if the rule does that.

        The rate is divided by 1 + staleness: Zhang et al. 2016, "Staleness-aware async-SGD", with 1 + where the paper
        divides by the staleness, so that a gradient that is not stale keeps its rate.
        """
        if self.damps:
            self.learning_rate.damping = 1 / (1 + staleness)

    def local_rate(self, round_: Round) -> float | None:
        """Return the learning rate of the local steps of a round's leaves; None if they make none."""
        return self.learning_rate(round_.step) if self.local and round_.kind is RoundKind.TRAIN else None

    @property
    def clips(self) -> bool:
        """True if gradients are clipped."""
        return self.limit is not None or self.scale is not None

    def for_size(self, size: int) -> "UpdateRule":
        """Return this rule with the fastest form of its optimizer for a vector of `size` values."""
        return replace(self, optimizer=fastest(self.optimizer, size))

    @cached_property
    def layerwise(self) -> LayerwiseOptimizer | None:
        """The optimizer, if its rate has a factor for each parameter."""
        return self.optimizer if isinstance(self.optimizer, LayerwiseOptimizer) else None

    @cached_property
    def rowwise(self) -> RowwiseOptimizer | None:
        """The optimizer, if its state has one value for each row of a table."""
        return self.optimizer if isinstance(self.optimizer, RowwiseOptimizer) else None

    @property
    def in_one_pass(self) -> bool:
        """True if no part of the vector needs norms of others before it changes."""
        return self.scale is None and self.layerwise is None and not self.skips

    def update(
        self, step: int, weights: Floats, gradient: Floats, state: Vectors, scratch: Vectors, *, ratio: float = 1.0
    ) -> None:
        """Apply update number `step`, counted from 0, to a part of the vector, by its gradient after clipping.

        The state has the shape of the weights or, of a rowwise optimizer for rows of a table, (rows, 1). `ratio` is a
        factor of the learning rate.
        """
        rowwise = self.rowwise if state and state[0].shape != weights.shape else None
        update = self.optimizer.update if rowwise is None else rowwise.update_rows
        update(step, weights, gradient, state, scratch, rate=ratio * self.learning_rate(step))


def build_optimizer(training: Training) -> Optimizer:
    """Build the optimizer of a job's training."""
    return OPTIMIZERS[training.optimizer.kind](**training.optimizer.value.model_dump(exclude={"learning_rate"}))


def build_rule(
    training: Training, rounds: Schedule = ONE_STEP, watched: Mapping[str, Watched] = MappingProxyType({})
) -> UpdateRule:
    """Build the rule of a job's training.

    Args:
        training: from the job's specification.
        rounds: the rounds of the job, on whose number the learning rate may depend.
        watched: state of the watched metrics, see `Position`.
    """
    base: float = training.optimizer.value.learning_rate
    schedule = build_rate(base, training.schedule, training.warm_up, rounds)
    rate = LearningRate(schedule, rate_factor(training, watched))
    limit, scale = limit_of(training.clipping), scale_of(training.clipping)
    lazy, decay = training.sparse.kind == "lazy", decay_of(training)
    skips = training.on_non_finite.kind == "skip_step"
    average = None if training.average is None else training.average.decay
    return UpdateRule(
        build_optimizer(training),
        rate,
        limit,
        scale,
        lazy=lazy,
        decay=decay,
        skips=skips,
        average=average,
        rollback=training.rollback,
        damps=training.consistency.damps,
        local=training.consistency.local_steps > 1,
    )
