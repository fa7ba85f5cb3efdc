"""The decisions at the end of an epoch: the best epoch, and the end of training. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from raydient.spec import schedules as spec
from raydient.spec.ending import EarlyStopping, KeepBest
from raydient.spec.monitored import part_of
from raydient.spec.network import Network as NetworkSpec
from raydient.spec.training import Training
from raydient.steps.schedule import Schedule
from raydient.steps.watched import Watched

from .monitor import Monitor
from .plateau import SCHEDULE, Plateau
from .rollback import rate_factor
from .safeguard import SAFEGUARD, Safeguard, level_of, levels
from .schedules import warm_up_steps

EARLY_STOPPING, KEEP = "early_stopping", "keep"
"""Keys of `Position.watched`, the fields of a specification that watch a metric."""


@dataclass(frozen=True, slots=True)
class EpochWatch:
    """Watches the metrics of a job. Without monitors it computes no metric and decides nothing.

    Attributes:
        finish: computes the metrics of a part, by name, from its sums, rows first.
        monitors: the watched metrics, by the field of the specification.
        patience: number of epochs without an improvement that end training.
        rate_factor: returns the factor of the learning rate in a state.
        level: returns a description of the safeguard's level in a state; empty without one.
    """

    finish: Callable[[Sequence[float]], Mapping[str, float]] = lambda sums: {}
    monitors: Mapping[str, Monitor | Plateau | Safeguard] = field(default_factory=dict)
    patience: int = 0
    rate_factor: Callable[[Mapping[str, Watched]], float] = lambda watched: 1.0
    level: Callable[[Mapping[str, Watched]], str] = lambda watched: ""

    @classmethod
    def of(
        cls,
        training: Training,
        network: Mapping[str, Any],
        input_shapes: Mapping[str, Sequence[int]],
        rounds: Schedule,
    ) -> "EpochWatch":
        """Return the watch of a job; `network` and `input_shapes` as in `Serve`, `rounds` are those of the job."""
        if not _watches(training):
            return cls(rate_factor=partial(rate_factor, training))
        from raydient.workers.network import build  # noqa: PLC0415  (0.1 s, and most jobs watch nothing)

        shapes = {name: tuple(shape) for name, shape in input_shapes.items()}
        built = build(NetworkSpec.model_validate(network), shapes, training=True)
        monitors: dict[str, Monitor | Plateau | Safeguard] = {}
        patience = 0
        if training.early_stopping is not None:
            stopping = training.early_stopping
            monitors[EARLY_STOPPING] = _monitor(stopping, built.larger_is_better, stopping.min_delta)
            patience = stopping.patience
        if training.keeps_best:
            monitors[KEEP] = _monitor(training.keep.value, built.larger_is_better)
        if training.schedule.kind == "plateau":
            plateau = training.schedule.value
            monitor = _monitor(plateau, built.larger_is_better, plateau.min_delta)
            first = warm_up_steps(training.warm_up, rounds.steps_per_epoch) // rounds.steps_per_epoch + 1
            monitors[SCHEDULE] = Plateau(monitor, training, first)
        if (guard := training.consistency.safeguard) is not None:
            monitors[SAFEGUARD] = Safeguard(guard.loss_factor, len(levels(training.consistency)) - 1)
        level = partial(_level, training)
        return cls(built.finish, monitors, patience, partial(rate_factor, training), level)

    def after(
        self, watched: Mapping[str, Watched], epoch: int, train: Sequence[float], test: Sequence[float]
    ) -> Mapping[str, Watched]:
        """Return the state after an epoch, numbered from 1, with these sums; empty if a part has no rows."""
        if not self.monitors:
            return watched
        metrics = {
            f"{split}_{name}": value
            for split, sums in (("train", train), ("test", test))
            if sums
            for name, value in self.finish(sums).items()
        }
        after = {
            name: monitor.after(watched.get(name, Watched()), epoch, metrics) for name, monitor in self.monitors.items()
        }
        return {**watched, **after}

    def keeps(self, watched: Mapping[str, Watched], epoch: int) -> bool:
        """Return True if the weights at the end of an epoch are the best so far; `watched` is the state after it."""
        return KEEP in watched and watched[KEEP].epoch == epoch

    def stops(self, watched: Mapping[str, Watched], epochs: int) -> bool:
        """Return True if training ends after so many epochs; as in Keras, never after the first."""
        return EARLY_STOPPING in watched and epochs > 1 and watched[EARLY_STOPPING].wait >= self.patience


NOTHING = EpochWatch()
"""The watch of a job in which no rule watches a metric."""


def _watches(training: Training) -> bool:
    """Return True if a rule of training watches a metric."""
    guarded = training.consistency.safeguard is not None
    return guarded or training.early_stopping is not None or training.keeps_best or training.schedule.kind == "plateau"


def _level(training: Training, watched: Mapping[str, Watched]) -> str:
    return str(level_of(training.consistency, watched)) if training.consistency.safeguard is not None else ""


def _monitor(
    settings: EarlyStopping | KeepBest | spec.Plateau, rising: Mapping[str, bool], min_delta: float = 0.0
) -> Monitor:
    """Return the monitor of a rule; `rising` is `Network.larger_is_better`."""
    part, metric = part_of(settings.monitor, rising)
    larger = rising[metric] if settings.mode.kind == "auto" else settings.mode.kind == "max"
    return Monitor(f"{part}_{metric}", larger=larger, min_delta=min_delta)
