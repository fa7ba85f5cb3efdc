"""Layers that shift and scale values to mean 0 and variance 1. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .layers import Learned

Epsilon = Annotated[float, Field(gt=0)]
"""Added to a variance, so that one of 0 can be divided by."""


class LayerNormalization(Learned):
    """Normalize each vector along the last axis, then multiply by gamma and add beta (Ba et al. 2016)."""

    epsilon: Epsilon = 1e-3
    center: bool = True
    scale: bool = True


class GroupNormalization(Learned):
    """Normalize groups of channels (the last axis) over all places of a sample, then multiply by gamma and add beta (Wu
    and He 2018).
    """

    groups: Annotated[int, Field(ge=1, le=1_048_576)] = 32
    epsilon: Epsilon = 1e-3
    center: bool = True
    scale: bool = True


class RmsNormalization(Learned):
    """Divide each vector along the last axis by its root mean square, then multiply by a scale (Zhang and Sennrich
    2019).
    """

    epsilon: Epsilon = 1e-6


class BatchNormalization(Learned):
    """Normalize each channel (the last axis), then multiply by gamma and add beta (Ioffe and Szegedy 2015).

    Mean and variance are those of the microbatch in training, moving averages elsewhere. If not `trainable`, the moving
    averages are used in training too and do not change.
    """

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    epsilon: Epsilon = 1e-3
    center: bool = True
    scale: bool = True
