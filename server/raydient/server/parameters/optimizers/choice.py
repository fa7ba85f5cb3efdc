"""The choice between the two forms of an optimizer."""

import logging
from importlib.util import find_spec

from .optimizer import Optimizer

COMPILED_FROM = 1 << 18
"""Use the compiled form for vectors of this number of values or more: compiling takes a second at the start."""

_log = logging.getLogger(__name__)


def fastest(optimizer: Optimizer, size: int) -> Optimizer:
    """Return the fastest form of an optimizer for a vector of `size` values, compiled if the extra `fast` is there."""
    if size < COMPILED_FROM or find_spec("numba") is None:
        return optimizer
    from .compiled import compiled  # noqa: PLC0415  (optional, and takes half a second)

    form = compiled(optimizer)
    if form is not optimizer:
        _log.info("updates are compiled: %s", type(form).__name__)
    return form
