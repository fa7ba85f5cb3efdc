"""Codecs against twins written value by value, their error bounds, and the mean of stochastic rounding."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.steps.codecs import BLOCK, CODECS
from raydient.steps.encoded import Coding, Encoded
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Layout
from raydient.steps.ranges import PIECE, ranges

from .codec_twins import TWINS

RNG = np.random.default_rng(3)
SIZE = 3 * PIECE + 77
NOISE = RNG.integers(0, 256, SIZE + BLOCK, dtype=np.uint8)
VALUES = (RNG.standard_normal(SIZE) * 10.0 ** RNG.uniform(-9, 3, SIZE)).astype(np.float32)
NAMES = [*CODECS, "top_k 0.01"]
EVERY = pytest.mark.parametrize("name", NAMES)
EXACT = ((5, 40), (PIECE - 3, PIECE + 300))


def noise(first, blocks):
    return NOISE[first * BLOCK : (first + blocks) * BLOCK].reshape(blocks, BLOCK)


def decoded(name, values, exact=(), cuts=(0,), noise=noise):
    """Encode and decode a vector in parts from its end on; `cuts` are the beginnings of the parts."""
    encoded, vector, stop = Encoded(Coding(name, len(values), 0, exact)), np.array(values, np.float32), len(values)
    for start in cuts:
        encoded.encode(vector, start, stop, noise)
        encoded.decode(vector, start, stop)
        stop = start
    return vector


@EVERY
def test_decoded_values_are_those_of_the_twin(name):
    odd = [0.0, -0.0, 1e-30, -3e38, 65519.9, -65520.0, 1e-40]
    values = np.concatenate([VALUES[:600], odd, np.full(300, 2.0**-110)]).astype(np.float32)
    assert decoded(name, values).tobytes() == TWINS[name](values, NOISE).tobytes()


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@EVERY
@given(values=st.lists(FINITE, min_size=1, max_size=8), other=FINITE)
def test_any_values_are_decoded_as_by_the_twin(name, values, other):
    vector = np.resize(np.array([*values, other], np.float32), 270)
    twin = TWINS[name](vector, NOISE)
    assert np.array_equal(decoded(name, vector), twin)


@pytest.mark.parametrize(("name", "relative"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_a_rounded_value_is_near(name, relative):
    values = VALUES[np.abs(VALUES) > 2.0**-14]
    assert (np.abs(decoded(name, values) - values) <= relative * np.abs(values)).all()


def test_an_error_of_int8_is_below_the_step_of_its_block():
    error = np.abs(decoded("int8", VALUES) - VALUES)
    for begin in range(0, SIZE, BLOCK):
        step = np.abs(VALUES[begin : begin + BLOCK]).max() / 127
        assert error[begin : begin + BLOCK].max() <= step * (1 + 1 / 512 + 1e-5)


def test_the_mean_of_stochastic_rounding_is_the_value():
    draws, sums, values = 2000, np.zeros(BLOCK), RNG.uniform(-1, 1, BLOCK).astype(np.float32)
    for key in range(draws):
        words = np.random.Philox(key).random_raw(32)
        sums += decoded("int8", values, noise=lambda first, blocks, words=words: words.view(np.uint8)[None])
    step = np.abs(values).max() / 127
    # Five standard deviations of the mean, each draw having at most half a step, and 1/512 of a step of the definition.
    assert np.abs(sums / draws - values).max() <= step * (5 * 0.5 / draws**0.5 + 1 / 512)


def test_every_mean_over_all_random_bytes_is_a_multiple_of_a_256th_of_a_step():
    values, sums = RNG.uniform(-1, 1, BLOCK).astype(np.float32), np.zeros(BLOCK)
    for byte in range(256):
        sums += decoded("int8", values, noise=lambda first, blocks, byte=byte: np.full((1, BLOCK), byte, np.uint8))
    step = np.abs(values).max() / 127
    assert np.abs(sums / 256 - values).max() <= step * (1 / 512 + 1e-4)


@EVERY
@pytest.mark.parametrize("cuts", [(PIECE, 0), (3 * PIECE, 2 * BLOCK, BLOCK, 0), (40 * BLOCK, 0)])
def test_parts_change_no_bit(name, cuts):
    assert decoded(name, VALUES, EXACT, cuts).tobytes() == decoded(name, VALUES, EXACT).tobytes()


@EVERY
@pytest.mark.parametrize("bounds", [(0, SIZE), (0, PIECE, SIZE), (0, PIECE, 2 * PIECE, 3 * PIECE, SIZE)])
def test_shards_decode_what_the_worker_decodes(name, bounds):
    coding, units, got = Coding(name, SIZE, 2, EXACT), 2, []
    encoded = Encoded(coding)
    encoded.encode(VALUES, 0, SIZE, noise)
    for start, stop in pairwise(bounds):
        layout = GradientLayout(SIZE, units).within(start, stop)
        part, counts = coding.within(start, stop, layout.units), np.array([3, 4], "<f4")[: layout.units]
        packed = b"".join(a.tobytes() for a in (encoded.exact(start, stop), encoded.records(start, stop), counts))
        assert len(packed) == part.packed_bytes <= part.buffer_bytes
        gradient, room = layout.zeros(), np.full(part.buffer_bytes, 0xFF, np.uint8)
        room[: len(packed)] = np.frombuffer(packed, np.uint8)
        part.unpack(room, gradient)
        got.append(gradient.vector)
        assert gradient.active.tolist() == counts.tolist()
    assert np.concatenate(got).tobytes() == decoded(name, VALUES, EXACT).tobytes()


def test_bounds_of_shards_are_bounds_of_blocks():
    assert PIECE % BLOCK == 0
    layout = Layout.of([("kernel", (100, 321)), ("bias", (77,))])
    for count in range(1, 5):
        assert all(start % BLOCK == 0 for start, _ in ranges(layout, count))


@EVERY
def test_exact_values_stay_and_do_not_touch_others(name):
    values = VALUES.copy()
    for start, stop in EXACT:
        values[start:stop] = 1e30
    got, zeros = decoded(name, values, EXACT), values.copy()
    for start, stop in EXACT:
        assert got[start:stop].tobytes() == values[start:stop].tobytes()
        got[start:stop] = zeros[start:stop] = 0
    assert got.tobytes() == decoded(name, zeros).tobytes()


@EVERY
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(name, value):
    values = VALUES[: 3 * BLOCK].copy()
    values[300] = value
    got = decoded(name, values)
    assert not np.isfinite(got[300])
    assert np.isfinite(np.delete(got, range(BLOCK, 2 * BLOCK))).all()


def test_a_nan_of_any_bits_is_nan_in_bfloat16():
    values = np.array([0x7F800001, 0xFFFFFFFF, 0x7FC00000], "<u4").view("<f4")
    assert np.isnan(decoded("bfloat16", values)).all()


def test_sizes_of_encoded_gradients():
    assert {name: Coding(name, 1000).packed_bytes for name in NAMES} == {
        "float16": 2000,
        "bfloat16": 2000,
        "int8": 1000 + 4 * 4,
        "top_k 0.01": 4 * 3 * 5,
    }
    assert Coding("int8", 1000, 3, ((0, 10), (20, 30))).packed_bytes == 1016 + 4 * (3 + 20)
