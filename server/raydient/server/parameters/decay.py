"""Decoupled weight decay, for any optimizer."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from raydient.spec.training import Training
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


def decay_of(training: Training) -> WeightDecay | None:
    """Return the weight decay of a specification; None without one. That of AdamW concerns every parameter."""
    if training.weight_decay is not None:
        return WeightDecay(training.weight_decay.rate, training.weight_decay.exclude)
    adamw = training.optimizer.adamw
    return WeightDecay(adamw.weight_decay) if adamw is not None and adamw.weight_decay else None
