"""Residuals: what a codec that feeds back has not sent of a leaf's gradients. Each leaf of a step has one.

A residual is a vector as long as the weights, float32, and 0 at the beginning of training. It is a state of training
like the optimizer's, so it is in snapshots and checkpoints, by these names.
"""

_PREFIX = "residual_"


def residual_name(leaf: int) -> str:
    """Return the name of the residual of a leaf."""
    return f"{_PREFIX}{leaf}"


def residual_names(leaves: int) -> tuple[str, ...]:
    """Return the names of the residuals of so many leaves, in order."""
    return tuple(map(residual_name, range(leaves)))
