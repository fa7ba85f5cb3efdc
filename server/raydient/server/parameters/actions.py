"""Actions of the conductor, which `ConductorShell` carries out. Requests to the shards are in `requests`."""

from dataclasses import dataclass

from raydient.steps.amendments import Amendment
from raydient.steps.ending import Ending
from raydient.steps.schedule import RoundKind

from .amending import Settings
from .requests import Request


@dataclass(frozen=True, slots=True)
class Assign:
    """Have a worker compute leaves `first`..`last` - 1 of round `round`.

    `kept` is the number of rounds before it whose gradients the worker keeps; the others have been applied.
    """

    worker: int
    round: int
    first: int
    last: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch is complete: sums over its training part and over the held-out part, rows first.

    `test` is empty without a held-out part, `train` if training resumed at the evaluation without the epoch's sums.
    `reduced_rate` is the learning rate from then on if the schedule `plateau` or the safeguard lowers it, else 0.
    `safeguard` describes the level of the safeguard from then on, if it acts, else it is empty.
    """

    epoch: int
    step: int
    train: tuple[float, ...]
    test: tuple[float, ...]
    reduced_rate: float = 0.0
    safeguard: str = ""


@dataclass(frozen=True, slots=True)
class Diverged:
    """The loss of a step or of an evaluation after `step` updates, or a gradient, is not finite.

    `parameter` is the parameter nearest to the loss with a gradient that is not finite, where backpropagation met it
    first. If all gradients are `finite`, it is the one with the largest gradient; an evaluation has none.
    `skipped` is the number of steps skipped so far, this one included; 0: it is not skipped. `rolls_back`: training has
    returned to the end of the last epoch; `rollbacks` is the number of times so far. Else no round follows.
    """

    kind: RoundKind
    step: int
    loss: float
    parameter: str
    finite: bool
    skipped: int = 0
    rolls_back: bool = False
    rollbacks: int = 0


@dataclass(frozen=True, slots=True)
class Boundary:
    """The weights are those between two rounds, for a requested snapshot or the end.

    `final`: no round follows. `ending`: training is over, for this reason; None if a later run may go on.
    """

    final: bool
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class PlanInForce:
    """No round of an earlier plan is open; workers that are not in plan `number` have no work left."""

    number: int


@dataclass(frozen=True, slots=True)
class Amended:
    """An amendment takes effect where the next round begins; `settings` hold from then on."""

    amendment: Amendment
    settings: Settings


Action = Assign | Request | EpochEnd | Diverged | Boundary | PlanInForce | Amended
