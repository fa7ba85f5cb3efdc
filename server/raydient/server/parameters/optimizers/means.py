"""Running means that several optimizers keep, moved in place."""

import numpy as np

from raydient.steps.arrays import Vector


def mix(mean: Vector, values: Vector, decay: float, scratch: Vector) -> None:
    """Move a mean: mean <- decay mean + (1 - decay) values."""
    np.multiply(values, np.float32(1 - decay), out=scratch)
    mean *= np.float32(decay)
    mean += scratch


def mix_squares(mean: Vector, values: Vector, decay: float, scratch: Vector) -> None:
    """Move a mean of squares: mean <- decay mean + (1 - decay) values^2."""
    np.multiply(values, np.float32(1 - decay), out=scratch)
    scratch *= values
    mean *= np.float32(decay)
    mean += scratch
