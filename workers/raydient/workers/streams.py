"""Random numbers that depend on their purpose alone: not on the order of calls, and not on the calling process."""

from enum import StrEnum
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray


class Purpose(StrEnum):
    """The purpose of random numbers. Each purpose has streams of its own under the same seed."""

    PARAMETER = "parameter"  # by parameter name: initial values
    SPLIT = "split"  # which rows are held out
    EPOCH = "epoch"  # by epoch: the order in which samples are visited
    LAYER = "layer"  # by step, microbatch and layer: randomness in a forward pass
    EXCHANGE = "exchange"  # by step and microbatch: the rounding of a gradient that is encoded
    GRADIENT_CHECK = "gradient_check"  # by part of the check


def stream(purpose: Purpose, seed: int, *place: int | str) -> np.random.Generator:
    """Return a generator at the start of the stream of (purpose, seed, place)."""
    return np.random.Generator(bit_stream(purpose, seed, *place))


def bit_stream(purpose: Purpose, seed: int, *place: int | str) -> np.random.Philox:
    """Return the bits of the stream of (purpose, seed, place), at its start.

    Philox (Salmon et al. 2011) is counter-based: any 128-bit key gives an independent stream, so the place is hashed
    into the key.
    """
    text = "\0".join(str(part) for part in (purpose, seed, *place))
    key = _Key(sha256(text.encode()).digest()[:16])
    return np.random.Philox(key)  # type: ignore[arg-type]  # NumPy takes an ISeedSequence, but its types do not say so


class _Key(ISeedSequence):
    """A key of Philox. `Philox(key=...)` takes five times as long, because it draws a seed that it does not use."""

    def __init__(self, key: bytes) -> None:
        self._words = np.frombuffer(key, "<u8").astype(np.uint64)

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint64) -> NDArray[Any]:
        return self._words
