"""The optimizers by the names of the specification."""

from collections.abc import Callable, Mapping

from .adam import Adam
from .descent import Momentum, Sgd
from .optimizer import Optimizer


def _sgd(momentum: float, nesterov: bool) -> Optimizer:
    return Momentum(momentum, nesterov) if momentum else Sgd()


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"sgd": _sgd, "adam": Adam}
"""By the name of the option in the specification; each takes the option's settings, except the learning rate."""
