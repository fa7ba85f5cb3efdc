"""Standardization over the whole range of float64: correct or refused."""

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.workers.network import FitError, Scaling


def exact(values):
    """Return mean and standard deviation, computed with rational numbers."""
    numbers = [Fraction(float(value)) for value in values]
    mean = sum(numbers) / len(numbers)
    variance = sum((number - mean) ** 2 for number in numbers) / len(numbers)
    shift = 2**2400  # so that the integer square root has digits enough
    return float(mean), float(Fraction(isqrt(int(variance * shift**2)), shift))


@given(
    values=st.lists(st.integers(-999, 999), min_size=2, max_size=30).filter(lambda v: len(set(v)) > 1),
    magnitude=st.integers(-290, 290),
)
def test_every_magnitude_is_scaled_as_ordinary_numbers_are(values, magnitude):
    x = np.array([[value * 10.0**magnitude, value] for value in values])
    scaling = Scaling.fit(x)
    mean, deviation = exact(x[:, 0])
    assert scaling.scale[0] == pytest.approx(deviation, rel=1e-12)
    assert scaling.mean[0] == pytest.approx(mean, rel=1e-12, abs=1e-12 * deviation)
    scaled = scaling.apply(x)
    np.testing.assert_allclose(scaled[:, 0], scaled[:, 1], rtol=1e-5, atol=1e-5)


def test_ordinary_features_beside_an_extreme_one_keep_their_figures():
    x = np.random.default_rng(1).normal(5, 2, (3_000, 2))
    beside = Scaling.fit(np.column_stack([x, x[:, 0] * 1e300]))
    alone = Scaling.fit(x)
    np.testing.assert_allclose(beside.mean[:2], alone.mean, rtol=1e-14)
    np.testing.assert_allclose(beside.scale[:2], alone.scale, rtol=1e-14)


@pytest.mark.parametrize("value", [0.0, 1e308, 5e-324, -0.1])
def test_a_constant_becomes_0(value):
    x = np.full((7, 1), value)
    assert (Scaling.fit(x).apply(x) == 0).all()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([-1e308, 1e308], "its values, -1e+308 to 1e+308, are too far apart"),
        ([0.0, 5e-324], "its values, 0.0 to 5e-324, are too close together"),
        (np.array([2**60, 2**60 + 1]), "are too close together"),
    ],
)
def test_values_beyond_float64_are_refused(values, reason):
    x = np.stack([np.arange(2), values], axis=1)
    with pytest.raises(FitError, match=reason.replace("+", r"\+")) as caught:
        Scaling.fit(x)
    assert caught.value.place == (1,)
