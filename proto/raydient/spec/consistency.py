"""Consistency models: the weights on which workers compute gradients while others change them."""

from typing import Annotated

from pydantic import Field

from .base import Model, OneOf
from .functions import Empty


class Safeguard(Model):
    """The answers to an epoch whose training loss is above `loss_factor` times the lowest so far, one after the other.

    A smaller limit of the staleness, down to 1; half the learning rate, twice; synchronous training. Each can be left
    out.
    """

    loss_factor: Annotated[float, Field(gt=1, le=1000)] = 1.2
    lower_limit: bool = True
    reduce_rate: bool = True
    synchronize: bool = True


class BoundedStaleness(Model):
    """Up to `limit` steps begin before the first of them is complete: stale synchronous parallel (Ho et al. 2013).

    Steps are applied in order. `damping` divides the learning rate of a step by 1 + its staleness.
    """

    limit: Annotated[int, Field(ge=1, le=1000)] = 4
    damping: bool = False
    safeguard: Safeguard | None = None


class Asynchronous(Model):
    """Each worker computes whole batches by itself, and each gradient is applied when it arrives.

    `damping` divides the learning rate of a step by 1 + its staleness (Zhang et al. 2016).
    """

    damping: bool = False
    safeguard: Safeguard | None = None


class Local(Model):
    """Local SGD: each microbatch makes `steps` updates of weights of its own, whose average is the next weights.

    A step of the job is a round of `steps` batches. McMahan et al. (2017), Stich (2019); the optimizer's momentum is
    that of the server (Chen and Huo 2016; Wang et al. 2020).
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 4


class Consistency(OneOf):
    """The model of consistency between workers."""

    synchronous: Empty | None = None
    bounded_staleness: BoundedStaleness | None = None
    asynchronous: Asynchronous | None = None
    local: Local | None = None

    @property
    def is_stale(self) -> bool:
        """True if a gradient may be applied to other weights than those of which it is the gradient."""
        return self.kind in ("bounded_staleness", "asynchronous")

    @property
    def local_steps(self) -> int:
        """Number of batches of a step, of which each microbatch makes a local step of each."""
        return 1 if self.local is None else self.local.steps

    @property
    def limit(self) -> int | None:
        """Maximum staleness of a gradient; None without a bound."""
        if self.kind == "asynchronous":
            return None
        return 0 if self.bounded_staleness is None else self.bounded_staleness.limit

    @property
    def safeguard(self) -> Safeguard | None:
        """The safeguard; None without one."""
        return self.value.safeguard if self.is_stale else None

    @property
    def damps(self) -> bool:
        """True if the learning rate of a step falls with its staleness."""
        return self.is_stale and bool(self.value.damping)


SYNCHRONOUS = Consistency(synchronous=Empty())
