"""Compares the patterns of a weight decay with the parameters of the network."""

from fnmatch import fnmatchcase

from raydient.server.parameters.decay import decay_of
from raydient.spec.decay import UNDECAYED
from raydient.spec.errors import FieldError
from raydient.spec.training import Training
from raydient.steps.layout import Layout

SHOWN = 8
"""Names of parameters in a message."""


def decay_problems(training: Training, layout: Layout) -> list[FieldError]:
    """Return an error for each pattern that excludes no parameter, except default ones, or one if nothing decays."""
    decay, names = decay_of(training), [parameter.name for parameter in layout.parameters]
    if decay is None or training.weight_decay is None:
        return []
    there = f"the parameters are {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
    unused = [
        FieldError(f"training.weight_decay.exclude[{place}]", f'no parameter matches "{pattern}": {there}')
        for place, pattern in enumerate(decay.exclude)
        if pattern not in UNDECAYED and not any(fnmatchcase(name, pattern) for name in names)
    ]
    if unused or any(map(decay.concerns, layout.parameters)):
        return unused
    return [FieldError("training.weight_decay.exclude", f"no parameter that is learned is left to decay: {there}")]
