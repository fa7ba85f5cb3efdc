"""Random numbers that depend on their purpose alone: not on the order of calls, and not on the calling process."""

from enum import StrEnum
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray

_ROUNDS = 10
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85


class Purpose(StrEnum):
    """The purpose of random numbers. Each purpose has streams of its own under the same seed."""

    PARAMETER = "parameter"  # by parameter name: initial values
    SPLIT = "split"  # which rows are held out
    EPOCH = "epoch"  # by epoch: the order in which samples are visited
    LAYER = "layer"  # by step, microbatch and layer: randomness in a forward pass
    EXCHANGE = "exchange"  # by step and microbatch: the rounding of a gradient that is encoded
    AUGMENT = "augment"  # by epoch and input, and by sample: changes of training samples
    GRADIENT_CHECK = "gradient_check"  # by part of the check


def stream(purpose: Purpose, seed: int, *place: int | str) -> np.random.Generator:
    """Return a generator at the start of the stream of (purpose, seed, place)."""
    return np.random.Generator(bit_stream(purpose, seed, *place))


def bit_stream(purpose: Purpose, seed: int, *place: int | str) -> np.random.Philox:
    """Return the bits of the stream of (purpose, seed, place), at its start.

    Philox (Salmon et al. 2011) is counter-based: any 128-bit key gives an independent stream, so the place is hashed
    into the key.
    """
    key = _Key(_hashed(purpose, seed, *place))
    return np.random.Philox(key)  # type: ignore[arg-type]  # NumPy takes an ISeedSequence, but its types do not say so


def philox_words(counters: NDArray[np.int64], purpose: Purpose, seed: int, *place: int | str) -> NDArray[np.uint32]:
    """Return four random words for each counter (n,), at least 0, under the key of (purpose, seed, place): (n, 4).

    Philox4x32-10 for all counters at once, which NumPy computes one stream at a time: Salmon et al. 2011, section 3.3.
    """
    key = np.frombuffer(_hashed(purpose, seed, *place)[:8], "<u4")
    return philox(counters, (int(key[0]), int(key[1])))


def philox(counters: NDArray[np.int64], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Return the words of Philox4x32-10 for counters (n,), whose upper 64 bits are 0, under a key: (n, 4)."""
    low, half = np.uint64(2**32 - 1), np.uint64(32)
    counted = counters.astype(np.uint64)
    w0, w1 = counted & low, counted >> half
    w2 = w3 = np.zeros_like(counted)
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = w0 * _MULTIPLIERS[0], w2 * _MULTIPLIERS[1]
        w0, w1, w2, w3 = p1 >> half ^ w1 ^ np.uint64(k0), p1 & low, p0 >> half ^ w3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + _WEYL[0]) % 2**32, (k1 + _WEYL[1]) % 2**32
    return np.stack([w0, w1, w2, w3], axis=1).astype(np.uint32)


def _hashed(*place: int | str) -> bytes:
    return sha256("\0".join(str(part) for part in place).encode()).digest()[:16]


class _Key(ISeedSequence):
    """A key of Philox. `Philox(key=...)` takes five times as long, because it draws a seed that it does not use."""

    def __init__(self, key: bytes) -> None:
        self._words = np.frombuffer(key, "<u8").astype(np.uint64)

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint64) -> NDArray[Any]:
        return self._words
