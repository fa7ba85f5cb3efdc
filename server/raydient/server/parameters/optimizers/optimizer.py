"""The interface of an optimizer."""

from collections.abc import Sequence
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
