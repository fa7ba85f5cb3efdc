"""Penalties on the outputs of layers: their values, and their derivatives beside the chain rule."""

from collections.abc import Mapping

import numpy as np

from .graph import Network
from .layers import Buffers


class ActivityPenalties:
    """The penalties of one program, l1 Σ |y| + l2 Σ y² over the outputs y of nodes that have one.

    The sums are over the values of all rows. As in Keras 3 (`Layer.__call__`), the loss of a batch has these sums
    divided by its number of samples, and weights of samples do not affect them. The gradient takes the factor of the
    summed loss, so that the penalties of microbatches add up to that of the batch.
    """

    def __init__(self, network: Network) -> None:
        self._penalties: Mapping[int, tuple[float, float]] = {
            place: layer.penalty for place, layer in enumerate(network.layers) if any(layer.penalty)
        }

    def total(self, buffers: tuple[Buffers, ...]) -> float:
        """Return the penalties summed over the rows. Allocates arrays like the outputs."""
        total = 0.0
        for place, (l1, l2) in self._penalties.items():
            y = buffers[place].y
            total += l1 * float(np.abs(y).sum(dtype=np.float64)) + l2 * float(np.square(y).sum(dtype=np.float64))
        return total

    def add_derivative(self, place: int, buffers: Buffers, scale: float) -> None:
        """Add `scale` times the derivative of a node's penalty, l1 sign(y) + 2 l2 y, if it has one, to its dy."""
        if place not in self._penalties:
            return
        l1, l2 = self._penalties[place]
        y, dy, scratch = buffers.y, buffers.dy, buffers.scratch
        np.sign(y, out=scratch)
        np.multiply(scratch, scale * l1, out=scratch)
        np.add(dy, scratch, out=dy)
        np.multiply(y, scale * 2 * l2, out=scratch)
        np.add(dy, scratch, out=dy)
