"""Losses. Names are Keras's, in snake case."""

from .base import OneOf
from .functions import Empty


class Loss(OneOf):
    """What training makes small.

    `sum_squared_error` sums over a sample's outputs, `mean_squared_error` averages over them; `softmax_cross_entropy`
    takes one output per class and class indices as labels, `binary_cross_entropy` one output (a logit) and labels 0
    and 1. Each is then averaged over the samples of a batch.
    """

    sum_squared_error: Empty | None = None
    mean_squared_error: Empty | None = None
    softmax_cross_entropy: Empty | None = None
    binary_cross_entropy: Empty | None = None
