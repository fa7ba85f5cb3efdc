"""The sum of gradients along the reduction tree, which is added and sent in parts while backpropagation goes on."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from raydient.steps.codecs import BLOCK
from raydient.steps.gradient import Gradient
from raydient.steps.tree import Node
from raydient.wire.channel import Channel

from .leaf_encoder import LeafEncoder

PART = 1 << 19
"""Fewest values of a part that is added and sent by itself, 2 MiB. Where every core computes, a server that receives a
part delays a worker, and smaller parts take more time than they save.
"""


class GradientSums:
    """Adds the gradient of a leaf to the sums that the leaf completes, and sends the last sum as far as it is final.

    Each value is added in the order of the tree, so the parts change no bit. Tables are added as a whole, at the end,
    and then the whole gradient is. A codec encodes each part of the leaf before it is added to anything.

    Attributes:
        push_seconds: time that sending took.
    """

    def __init__(
        self,
        channel: Channel,
        slots: Sequence[int],
        *,
        counts: bool,
        push: tuple[int, Node] | None,
        before: Gradient | None = None,
        clock: Callable[[], float],
        part: int = PART,
        encoder: LeafEncoder | None = None,
    ) -> None:
        """Begin before the backward pass of the leaf, once its units are counted.

        Args:
            channel: has the slots and sends.
            slots: slot of the leaf; then the slots of sums, each of which the one before is added to.
            counts: add the counts of active units too.
            push: round and node of the last sum if the leaf completes that, None if the sum is not to be sent yet.
            before: added to the gradient of the leaf before that is added to others: the sum of the leaf's local
                steps so far. A unit is active in the leaf if it is in any of them.
            clock: seconds.
            part: fewest values of a part.
            encoder: encodes the gradient of the leaf; None without a codec.
        """
        self.push_seconds = 0.0
        self._encoder = encoder
        self._part = part
        self._channel, self._slots, self._push, self._clock = channel, slots, push, clock
        self._before, self._sums = before, [channel.slot(slot) for slot in slots]
        self._counts, self._whole = counts, bool(channel.terms.gradient.tables)
        self._stop = channel.terms.gradient.size
        if counts and before is not None:
            np.maximum(self._sums[0].active, before.active, out=self._sums[0].active)
        if counts and not self._whole:
            for gradient, total in pairwise(self._sums):
                total.active += gradient.active

    def final(self, start: int) -> None:
        """Add and send the gradient by weights from `start` on, which is final, unless that is a small part."""
        if self._encoder is not None:
            start = -(-start // BLOCK) * BLOCK
        if start and not self._whole and self._stop - start >= self._part:
            self._add(start)
            if self._push is not None:
                began = self._clock()
                self._channel.send_part(*self._push, self._slots[-1], start)
                self.push_seconds += self._clock() - began

    def end(self) -> None:
        """Add what remains, once the whole gradient is final."""
        if not self._whole:
            self._add(0)
            return
        if self._before is not None:
            self._sums[0].add(self._before, counts=False)
        for gradient, total in pairwise(self._sums):
            total.add(gradient, counts=self._counts)

    def _add(self, start: int) -> None:
        if self._before is not None:
            self._sums[0].add_within(start, self._stop, self._before)
        if self._encoder is not None:
            self._encoder.encode(self._sums[0], start, self._stop)
        for gradient, total in pairwise(self._sums):
            total.add_within(start, self._stop, gradient)
        self._stop = start
