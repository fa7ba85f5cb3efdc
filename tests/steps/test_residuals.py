"""Error feedback: what is not sent is kept, and sent later; nothing is lost, added or poisoned."""

import numpy as np
import pytest

from raydient.steps.codecs import BLOCK, find_codec
from raydient.steps.encoded import Coding, Encoded

from .codec_twins import top_k

SIZE, NAME = 2 * BLOCK + 9, "top_k 0.01"
RNG = np.random.default_rng(5)
AVERAGES = ((3, 20), (BLOCK + 1, BLOCK + 4))


def sent(gradient, residual, cuts=(0,), exact=()):
    """Encode a gradient in parts from its end on, and return its decoded form; the residual changes."""
    encoded, result, stop = Encoded(Coding(NAME, SIZE, 0, exact)), gradient.copy(), SIZE
    for start in cuts:
        encoded.encode(gradient, start, stop, None, residual)
        encoded.decode(result, start, stop)
        stop = start
    return result


def zeros():
    return np.zeros(SIZE, np.float32)


def gradients(count):
    return [RNG.standard_normal(SIZE).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("cuts", [(0,), (2 * BLOCK, BLOCK, 0)])
def test_steps_are_those_of_the_twin(cuts):
    residual, twin = zeros(), zeros()
    for gradient in gradients(6):
        got, expected = sent(gradient, residual, cuts), top_k(gradient + twin, None)
        assert got.tobytes() == expected.tobytes()
        twin = np.where(expected != 0, np.float32(0), gradient + twin)
        assert residual.tobytes() == twin.tobytes()


def test_all_that_is_computed_is_sent_or_kept():
    residual, total = zeros(), zeros()
    steps = [RNG.integers(-99, 99, SIZE).astype(np.float32) for _ in range(40)]
    for gradient in steps:
        total += sent(gradient, residual)
    assert np.array_equal(total + residual, sum(steps))
    assert 0 < np.count_nonzero(residual) < SIZE


def test_of_equal_magnitudes_the_first_are_sent():
    gradient = np.where(np.arange(SIZE) % 2, 1, -1).astype(np.float32)
    assert np.flatnonzero(sent(gradient, zeros())).tolist() == [b * BLOCK + n for b in range(3) for n in range(3)]


def test_every_value_of_constant_gradients_is_sent_in_turn():
    residual, counts = zeros(), zeros()
    for _ in range(3 * BLOCK // 3):
        counts += sent(np.ones(SIZE, np.float32), residual) != 0
    assert counts[:BLOCK].min() >= 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_sent_and_never_kept(value):
    (before,), residual = gradients(1), zeros()
    sent(before, residual)
    kept, gradient = residual.copy(), np.ones(SIZE, np.float32)
    gradient[10:20] = value
    assert np.count_nonzero(~np.isfinite(sent(gradient, residual)[10:20])) == 3
    assert np.isfinite(residual).all()
    assert residual[13:20].tobytes() == kept[13:20].tobytes(), "as before"
    assert np.array_equal(residual[20:BLOCK], kept[20:BLOCK] + 1)


def test_a_sum_that_overflows_is_sent():
    residual = zeros()
    residual[5] = gradient = np.float32(3e38)
    vector = zeros()
    vector[5] = gradient
    assert np.isinf(sent(vector, residual)[5])


def test_statistics_have_no_residual():
    residual, (gradient,) = zeros(), gradients(1)
    got = sent(gradient, residual, exact=AVERAGES)
    for start, stop in AVERAGES:
        assert got[start:stop].tobytes() == gradient[start:stop].tobytes()
        assert not residual[start:stop].any()


@pytest.mark.parametrize(("fraction", "kept"), [(0.002, 1), (0.01, 3), (0.1, 26), (0.2, 51)])
def test_the_fraction_is_a_number_of_each_block(fraction, kept):
    assert find_codec(f"top_k {fraction}").kept == kept


@pytest.mark.parametrize("name", ["top_k", "top_k x", "top_k 0.0", "top_k 1.5", "top_k nan", "int8 0.1", "none"])
def test_names_of_no_codec(name):
    assert find_codec(name) is None
    assert not Coding(name, 9).is_valid
