"""The optimizers by the names of the specification."""

from collections.abc import Callable, Mapping

from .adam import Adam, Adamax, AdamW, Nadam
from .adaptive import Adadelta, Adagrad, Ftrl, RmsProp
from .descent import Lion, Momentum, Sgd
from .layerwise import Lamb, Lars
from .optimizer import Optimizer


def _sgd(momentum: float, nesterov: bool) -> Optimizer:
    return Momentum(momentum, nesterov) if momentum else Sgd()


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": _sgd,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "rmsprop": RmsProp,
    "adam": Adam,
    "adamax": Adamax,
    "adamw": AdamW,
    "nadam": Nadam,
    "lamb": Lamb,
    "lars": Lars,
    "lion": Lion,
    "ftrl": Ftrl,
}
"""By the name of the option in the specification; each takes the option's settings, except the learning rate."""
