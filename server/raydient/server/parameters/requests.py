"""Requests of the conductor to the shards, and the answers of a shard. Each shard answers every request once, in order.

A step takes one request, `Update`, where its verdict does not depend on the whole gradient. Else it takes two: `Reduce`
and, with the verdict, `Apply`. With an optimizer whose rate has a factor for each parameter it takes three: `Reduce`,
`Direct` and `Follow`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raydient.steps.schedule import Round
from raydient.steps.tree import Node

Contributions = Mapping[Node, Any]
"""Keys of the gradients of the pushed nodes; the nodes together hold each leaf of a step once."""


@dataclass(frozen=True, slots=True)
class Update:
    """Sum the contributions and apply the sum, in one pass.

    `measures`: measure gradient health; `staleness`: that of the gradient, in steps. The contributions of an
    asynchronous job are those of another batch than that of `round`.
    """

    round: Round
    contributions: Contributions
    measures: bool
    staleness: int = 0


@dataclass(frozen=True, slots=True)
class Reduce:
    """Sum the contributions, and keep the sum for `Apply`. See `Update`."""

    round: Round
    contributions: Contributions
    measures: bool
    staleness: int = 0


@dataclass(frozen=True, slots=True)
class Apply:
    """Multiply the sum of the last `Reduce` by the factor of each parameter by name, 1 by default, and apply it."""

    round: Round
    factors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Direct:
    """Multiply the sum of the last `Reduce` as `Apply` does, and turn it into the direction of the update."""

    round: Round
    factors: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Follow:
    """Apply the direction of the last `Direct`, with the trust ratio of each parameter by name."""

    round: Round
    ratios: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Examine:
    """Describe the gradient of a step that may have diverged; the update may be half made. See `Examined`.

    `measures`: workers have counted the active units.
    """

    round: Round
    contributions: Contributions
    measures: bool


@dataclass(frozen=True, slots=True)
class Skip:
    """Drop the sum of the last `Reduce`: the step counts, and changes neither weights nor optimizer state."""

    round: Round


@dataclass(frozen=True, slots=True)
class Keep:
    """Copy the evaluated weights to those of the best epoch, after the evaluation `round`."""

    round: Round


@dataclass(frozen=True, slots=True)
class SetRate:
    """Multiply the learning rate of each step by `factor` after the evaluation `round`."""

    round: Round
    factor: float


@dataclass(frozen=True, slots=True)
class Show:
    """Show the workers the average of the weights during the evaluation `round`, or the weights again after it."""

    round: Round
    average: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """Copy weights, average and optimizer state to those of the last epoch's end, which is that of `round`."""

    round: Round


@dataclass(frozen=True, slots=True)
class RollBack:
    """Make weights, average and optimizer state those of the last `Mark`; multiply the rate as `SetRate` does."""

    round: Round
    factor: float


def root_of(contributions: Contributions) -> Node:
    """Return the root of the tree whose nodes the contributions are."""
    return 0, max(last for _, last in contributions)


Request = Update | Reduce | Apply | Direct | Follow | Examine | Keep | Skip | SetRate | Show | Mark | RollBack
Further = Keep | SetRate | Show | Mark | RollBack
"""Requests besides those of a step."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a step by one shard.

    Attributes:
        pieces: see `health.PieceMeter.read`, (pieces of the shard, 4).
        active: number of leaves in which each unit with a rectifier was active; None if that was not counted. Only the
            first shard has them.
    """

    pieces: NDArray[np.float64]
    active: NDArray[np.floating] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Answer to all requests but `Examine`.

    Attributes:
        squares: squared norms of parts of the shard's gradient, in order: after `Reduce` of each piece, see `norms`;
            after `Update` of the whole range, and again after clipping if values are clipped; none after the others. A
            value is not finite if the gradient is not. After `Direct`, those of the weights of each piece, then those
            of the direction.
        measured: set when health was measured and the update is made.
    """

    squares: NDArray[np.float64]
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """Answer to `Examine`.

    Attributes:
        parameters: for each parameter of the range, in order, its name, True if all values of its gradient are finite,
            and the squared norm of its gradient; -1 if the optimizer does not learn it.
        measured: of the gradient alone.
    """

    parameters: Sequence[tuple[str, bool, float]]
    measured: Measured


Answer = Done | Examined
