"""The table of losses. A new loss joins it and inherits the gradient check."""

from raydient.spec import losses as spec

from .classes import BinaryCrossEntropy, Hinge, SoftmaxCrossEntropy
from .loss import Loss
from .numbers import Huber, MeanAbsoluteError, MeanSquaredError, Poisson, SumSquaredError

LOSSES: dict[str, type[Loss]] = {
    "sum_squared_error": SumSquaredError,
    "mean_squared_error": MeanSquaredError,
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": Huber,
    "hinge": Hinge,
    "poisson": Poisson,
}


def loss_class(choice: spec.Loss) -> type[Loss]:
    """The class of the loss that a specification chooses."""
    return LOSSES[choice.kind].of(choice.value)


__all__ = ["LOSSES", "Loss", "loss_class"]
