"""The gradient of a leaf on its way into its slot, where a job has a codec."""

import numpy as np

from raydient.steps.arrays import Vector
from raydient.steps.codecs import BLOCK, Bytes
from raydient.steps.encoded import Encoded
from raydient.steps.gradient import Gradient

from .streams import Purpose, bit_stream

_BYTES_OF_A_COUNT = 32
"""Philox makes four words of 64 bits from each value of its counter."""


class LeafEncoder:
    """Encodes the gradient of one leaf, part by part from the end on, and replaces it by its decoded form.

    The random bytes of a block are those of the stream of (seed, step, leaf) at the block's place, so neither the parts
    nor the worker change them.
    """

    def __init__(
        self, encoded: Encoded, seed: int, step: int, leaf: int, *, decodes: bool, residual: Vector | None = None
    ) -> None:
        """`encoded` receives the gradient. Without `decodes` the gradient itself stays as it is: it is only sent.

        `residual` is that of the leaf, which changes, if the codec feeds back.
        """
        self._encoded, self._place, self._decodes = encoded, (seed, step, leaf), decodes
        self._residual = residual
        self._bits, self._next = bit_stream(Purpose.EXCHANGE, *self._place), 0

    def encode(self, gradient: Gradient, start: int, stop: int) -> None:
        """Encode the values `start`..`stop` - 1; both are bounds of blocks, or the end of the gradient."""
        self._encoded.encode(gradient.vector, start, stop, self._noise, self._residual)
        if self._decodes:
            self._encoded.decode(gradient.vector, start, stop)

    def _noise(self, first: int, blocks: int) -> Bytes:
        if first != self._next:
            self._bits = bit_stream(Purpose.EXCHANGE, *self._place)
            self._bits.advance(first * (BLOCK // _BYTES_OF_A_COUNT))
        self._next = first + blocks
        words = self._bits.random_raw(blocks * BLOCK // 8).astype("<u8", copy=False)
        return words.view(np.uint8).reshape(blocks, BLOCK)
