"""A worker encodes the gradient of each leaf by random bytes of its own, before it adds it to anything."""

from hashlib import sha256

import numpy as np
import pytest

from raydient.steps.codecs import BLOCK
from raydient.steps.encoded import Coding, Encoded
from raydient.steps.gradient import GradientLayout
from raydient.steps.tree import tree_sum
from raydient.workers.leaf_encoder import LeafEncoder

from .test_gradient_parts import LEAVES, work

SIZE = 300 * BLOCK + 5
VALUES = np.random.default_rng(4).standard_normal(SIZE).astype(np.float32)


def encoded(starts=(0,), place=(1, 2, 3), values=VALUES):
    """Return the decoded gradient of a leaf (seed, step, leaf) that is encoded in parts."""
    gradient, stop = GradientLayout(len(values)).zeros(), len(values)
    gradient.vector[:] = values
    encoder = LeafEncoder(Encoded(Coding("int8", len(values))), *place, decodes=True)
    for start in starts:
        encoder.encode(gradient, start, stop)
        stop = start
    return gradient.vector


@pytest.mark.parametrize("starts", [(256 * BLOCK, 0), (299 * BLOCK, 3 * BLOCK, BLOCK, 0)])
def test_parts_change_no_bit(starts):
    assert encoded(starts).tobytes() == encoded().tobytes()


@pytest.mark.parametrize("place", [(0, 2, 3), (1, 0, 3), (1, 2, 0)])
def test_seed_step_and_leaf_have_random_bytes_of_their_own(place):
    assert encoded(place=place).tobytes() != encoded().tobytes()


def test_the_random_bytes_are_those_of_the_place_in_the_vector():
    noise = np.random.Philox(key=int.from_bytes(sha256(b"exchange\x001\x002\x003").digest()[:16], "little"))
    expected = Encoded(Coding("int8", SIZE))
    drawn = noise.random_raw(301 * BLOCK // 8).view(np.uint8).reshape(-1, BLOCK)
    expected.encode(VALUES, 0, SIZE, lambda first, blocks: drawn[first : first + blocks])
    decoded = VALUES.copy()
    expected.decode(decoded, 0, SIZE)
    assert encoded().tobytes() == decoded.tobytes()


def test_the_mean_over_leaves_is_the_gradient():
    leaves, values = 400, VALUES[: 8 * BLOCK]
    mean = sum(encoded(place=(1, 0, leaf), values=values).astype(np.float64) for leaf in range(leaves)) / leaves
    steps = np.repeat(np.abs(values.reshape(-1, BLOCK)).max(1) / 127, BLOCK)
    # Six standard deviations of the mean, and the 512th of a step that the definition allows.
    assert (np.abs(mean - values) <= steps * (6 * 0.5 / leaves**0.5 + 1 / 512)).all()


def test_a_gradient_that_is_only_sent_stays_as_it_is():
    gradient = GradientLayout(SIZE).zeros()
    gradient.vector[:] = VALUES
    LeafEncoder(Encoded(Coding("int8", SIZE)), 1, 2, 3, decodes=False).encode(gradient, 0, SIZE)
    assert gradient.vector.tobytes() == VALUES.tobytes()


@pytest.mark.parametrize("part", [1, 1 << 16])
def test_a_worker_adds_decoded_gradients(part):
    single, plain = [work([(n, n + 1) for n in range(LEAVES)], part, codec).pushed for codec in ("int8", None)]
    for leaf, (vector, *_) in plain.items():
        assert single[leaf][0].tobytes() == encoded(place=(4, 0, leaf[0]), values=vector).tobytes() != vector.tobytes()
    for node, (vector, *_) in work([(0, 4), (4, 7)], part, "int8").pushed.items():
        assert vector.tobytes() == tree_sum({leaf: each[0] for leaf, each in single.items()}, node).tobytes()


def test_a_worker_leaves_a_single_leaf_to_the_server_where_it_travels():
    sent, plain = (work([(0, 1), (2, 4)], 1, "int8", travels=travels).pushed for travels in (True, False))
    assert sent[2, 4][0].tobytes() == plain[2, 4][0].tobytes()
    assert encoded(place=(4, 0, 0), values=sent[0, 1][0]).tobytes() == plain[0, 1][0].tobytes()
