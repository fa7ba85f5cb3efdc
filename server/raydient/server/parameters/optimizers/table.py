"""The optimizers by the names of the specification."""

from collections.abc import Callable, Mapping
from typing import Any

from .adam import Adam, Adamax, Nadam
from .adaptive import Adadelta, Adagrad, Ftrl, RmsProp, RowwiseAdagrad
from .descent import Lion, Momentum, Sgd
from .layerwise import Lamb, Lars
from .optimizer import Optimizer


def _sgd(momentum: float, nesterov: bool) -> Optimizer:
    return Momentum(momentum, nesterov) if momentum else Sgd()


def _adamw(weight_decay: float, **settings: Any) -> Optimizer:
    """Build Adam. What makes it AdamW (Loshchilov and Hutter 2019, algorithm 2) is the decay, see `decay_of`."""
    return Adam(**settings)


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": _sgd,
    "adagrad": Adagrad,
    "rowwise_adagrad": RowwiseAdagrad,
    "adadelta": Adadelta,
    "rmsprop": RmsProp,
    "adam": Adam,
    "adamax": Adamax,
    "adamw": _adamw,
    "nadam": Nadam,
    "lamb": Lamb,
    "lars": Lars,
    "lion": Lion,
    "ftrl": Ftrl,
}
"""By the name of the option in the specification; each takes the option's settings, except the learning rate."""
