"""The interface of an optimizer."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from raydient.steps.arrays import Floats, Vector

Vectors = Sequence[Vector]


class Optimizer(Protocol):
    """An update rule with the settings of one job, except the learning rate, which may differ from step to step."""

    @property
    def state(self) -> Mapping[str, float]:
        """Names of the arrays that it keeps, a value per parameter, with the value that each is full of at first."""

    @property
    def rests_at_zero(self) -> bool:
        """True if a gradient of 0 leaves weight and state as they are, bit by bit."""

    def update(
        self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        """Apply update number `step`, counted from 0, with the learning rate `rate`."""


def zeros(*names: str) -> Mapping[str, float]:
    """Return the description of arrays of an optimizer that begin as zeros."""
    return dict.fromkeys(names, 0.0)


@runtime_checkable
class RowwiseOptimizer(Optimizer, Protocol):
    """An optimizer whose arrays have one value for each row of a table; outside tables it works as any other."""

    def update_rows(
        self, step: int, weights: Floats, gradient: Floats, state: Vectors, scratch: Vectors, *, rate: float
    ) -> None:
        """As `update`, for rows of a table, (rows, width) like the scratch arrays; those of `state` are (rows, 1).

        The bits of a row do not depend on the other rows.
        """


@runtime_checkable
class LayerwiseOptimizer(Optimizer, Protocol):
    """An optimizer whose learning rate has a factor for each parameter, the trust ratio, which depends on its norms.

    A step takes three calls for each part of the vector: `direct`, then `trust` with norms of the whole parameter, then
    `update`, whose gradient is the direction and whose rate has that factor.
    """

    def direct(self, step: int, weights: Vector, gradient: Vector, state: Vectors, scratch: Vectors) -> None:
        """Replace the gradient of update number `step` by its direction, and advance the state."""

    def trust(self, weights: float, direction: float) -> float:
        """Return the trust ratio of a parameter, from the norms of its weights and of its direction."""
