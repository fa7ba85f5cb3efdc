"""Amendments of a job while its parameter servers run: the settings in force, and those that wait. No I/O."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from raydient.spec.amending import EPOCHS, MAX_STEPS, amended_training
from raydient.spec.training import Training
from raydient.steps.amendments import Amendment
from raydient.steps.schedule import RoundKind, Schedule
from raydient.steps.watched import Watched

from .epoch_watch import EpochWatch
from .position import Position
from .rule import UpdateRule, build_rule


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a job that amendments change, and the rules that follow from them.

    Attributes:
        training: the training part of the specification.
        schedule: the rounds of the job.
        rule: the update rule.
        watch: decides at the end of an epoch.
    """

    training: Training
    schedule: Schedule
    rule: UpdateRule
    watch: EpochWatch

    @classmethod
    def of(
        cls,
        training: Training,
        schedule: Schedule,
        watched: Mapping[str, Watched],
        network: Mapping[str, Any],
        input_shapes: Mapping[str, Sequence[int]],
    ) -> "Settings":
        """Build the rules of a job, with `watched` as in `Position`, the others as in `Serve`."""
        watch = EpochWatch.of(training, network, input_shapes, schedule)
        return cls(training, schedule, build_rule(training, schedule, watched), watch)

    @property
    def limit_seconds(self) -> float:
        """Time of training after which it ends."""
        return inf if self.training.max_minutes is None else 60 * self.training.max_minutes


class Amending:
    """The amendments of a job that are not in force, in the order of their numbers. For one thread."""

    def __init__(
        self,
        settings: Settings,
        build: Callable[[Training, Schedule, Mapping[str, Watched]], Settings],
        amendments: Iterable[Amendment] = (),
    ) -> None:
        """`settings` are in force, `build` builds others, and `amendments` wait."""
        self._settings, self._build = settings, build
        self._waiting = deque(amendments)

    def add(self, amendment: Amendment, position: Position) -> None:
        """Add an amendment, unless it waits already or is in force."""
        if amendment.number > max((known.number for known in (*position.amendments, *self._waiting)), default=0):
            self._waiting.append(amendment)

    def waits(self, position: Position, number: int) -> bool:
        """Return True if an amendment takes effect before a round that is not the next one."""
        if not self._waiting:
            return False
        first = self._waiting[0]
        return self._is_due(first, position) if first.round is None else first.round <= number

    def due(self, position: Position) -> Iterator[tuple[Amendment, Settings]]:
        """Put those that are due before the next round into force; yield each with the settings from then on.

        The round of an amendment that has taken effect before a rollback is decided; one without it is due now, if the
        next round is a step and not before those whose results are known.
        """
        while self._waiting and self._is_due(self._waiting[0], position):
            amendment = self._waiting.popleft()
            if amendment.round is None:
                amendment = decided(amendment, position, self._settings.schedule)
            training = amended_training(self._settings.training, amendment.settings)
            schedule = self._settings.schedule.lasting(training.epochs, training.max_steps)
            self._settings = self._build(training, schedule, position.watched)
            position.amendments = [*position.amendments, amendment]
            yield amendment, self._settings

    def _is_due(self, amendment: Amendment, position: Position) -> bool:
        """Return True if an amendment is due; at the end of a job too, unless `max_steps` has cut its last epoch."""
        schedule, number = self._settings.schedule, position.round
        if amendment.round is not None:
            return amendment.round <= number
        if position.step < amendment.step:
            return False
        return not schedule.max_steps if number == schedule.rounds else schedule.round(number).kind is RoundKind.TRAIN


def decided(amendment: Amendment, position: Position, schedule: Schedule) -> Amendment:
    """Return an amendment that takes effect before the next step; an end that has passed becomes the nearest one.

    An epoch that has begun is closed: by its evaluation, or without a held-out part by the end of its next step.
    """
    begun = position.round % schedule.rounds_per_epoch > 0
    least = {
        EPOCHS: position.round // schedule.rounds_per_epoch + begun,
        MAX_STEPS: position.step + (begun and not schedule.test_rows),
    }
    settings = {
        path: max(value, least[path]) if path in least and value is not None else value
        for path, value in amendment.settings.items()
    }
    return replace(amendment, settings=settings, round=position.round, step=position.step)
