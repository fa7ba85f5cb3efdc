"""The optimizers by the names of the specification."""

from collections.abc import Callable, Mapping
from typing import Any

from .adam import Adam
from .descent import Momentum, Sgd
from .rule import Optimizer, UpdateRule


def _sgd(momentum: float, nesterov: bool) -> Optimizer:
    return Momentum(momentum, nesterov) if momentum else Sgd()


OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"sgd": _sgd, "adam": Adam}
"""By the name of the option in the specification; each takes the option's settings, except the learning rate."""


def build_rule(kind: str, settings: Mapping[str, Any]) -> UpdateRule:
    """Build the rule of a specification, whose `kind` and settings are valid. Its learning rate is constant."""
    rate: float = settings["learning_rate"]
    options = {name: value for name, value in settings.items() if name != "learning_rate"}
    return UpdateRule(OPTIMIZERS[kind](**options), lambda step: rate)
