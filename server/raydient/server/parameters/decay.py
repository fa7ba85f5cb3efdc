"""Decoupled weight decay, for any optimizer."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from raydient.spec.decay import WeightDecay as Settings
from raydient.steps.layout import Learned, Parameter


@dataclass(frozen=True, slots=True)
class WeightDecay:
    """w <- w - rate d w before the update of each step (Loshchilov and Hutter 2019), where `rate` is the learning rate.

    As in Keras and PyTorch, the decay has the whole learning rate; in the paper it has the factor of the schedule
    alone.

    Attributes:
        rate: d.
        exclude: patterns of the names of parameters that do not decay, with `*`, `?` and `[...]`.
    """

    rate: float
    exclude: tuple[str, ...] = ()

    def concerns(self, parameter: Parameter) -> bool:
        """Return True if a parameter decays."""
        return isinstance(parameter.kind, Learned) and not any(fnmatchcase(parameter.name, p) for p in self.exclude)

    def factor(self, learning_rate: float) -> float:
        """Return the factor of the weights in a step."""
        return 1 - learning_rate * self.rate


def decay_of(settings: Settings | None) -> WeightDecay | None:
    """Return the weight decay of a specification; None without one."""
    return WeightDecay(settings.rate, settings.exclude) if settings else None
