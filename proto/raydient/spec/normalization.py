"""Layers that shift and scale values to mean 0 and variance 1. Names are Keras's."""

from typing import Annotated

from pydantic import Field

from .layers import Learned

Epsilon = Annotated[float, Field(gt=0)]
"""Added to a variance, so that one of 0 can be divided by."""


class LayerNormalization(Learned):
    """Normalized along the last axis, each sample and place by itself; then times gamma, plus beta (Ba et al. 2016)."""

    epsilon: Epsilon = 1e-3
    center: bool = True
    scale: bool = True


class BatchNormalization(Learned):
    """Normalized by channel, the last axis, over a microbatch in training, by moving averages elsewhere; then times
    gamma, plus beta (Ioffe and Szegedy 2015). Not `trainable`: by moving averages, which stay, in training, too.
    """

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    epsilon: Epsilon = 1e-3
    center: bool = True
    scale: bool = True
