"""The distribution function of the normal distribution against the C library's error function."""

import math

import numpy as np
import pytest

from raydient.workers import elementary, functions
from raydient.workers.normal_distribution import BLOCK, normal_cdf


def exact(z):
    return np.array([math.erfc(-float(v) / math.sqrt(2)) / 2 for v in z])


def exp(x):
    np.exp(x, out=x)


@pytest.mark.parametrize("exponential", [exp, elementary.inplace_exp])
@pytest.mark.parametrize("limits", [(-12.5, 9), (-1.3, 1.3), (-1.8, -1.1), (1.1, 1.8), (-4.1, -4), (-1e-20, 1e-20)])
def test_within_an_ulp_of_float32(exponential, limits):
    z = np.linspace(*limits, 20_011, dtype=np.float32)
    results = np.empty_like(z)
    normal_cdf(z, results, exponential)
    references = exact(z)
    errors = np.abs(results - references) / np.spacing(references.astype(np.float32))
    assert errors.max() < 0.51


def test_float64_has_13_digits():
    z = np.linspace(-12, 9, 10_007)
    results = np.empty_like(z)
    normal_cdf(z, results, exp)
    np.testing.assert_allclose(results, exact(z), rtol=1e-13)


def test_ends_and_what_is_not_a_number():
    z = np.array([-np.inf, -3e38, -0.0, 0.0, 9.0, 3e38, np.inf, np.nan], np.float32)
    results = np.empty_like(z)
    functions.normal_cdf(z, results)
    assert results[:7].tolist() == [0, 0, 0.5, 0.5, 1, 1, 1]
    assert np.isnan(results[7])


def test_blocks_strides_and_places_change_no_bit():
    z = np.linspace(-5, 5, 3 * BLOCK + 5, dtype=np.float32)
    whole, columns, single = np.empty_like(z), np.zeros((z.size, 2), np.float32), np.empty(7, np.float32)
    functions.normal_cdf(z, whole)
    functions.normal_cdf(z[:, None], columns[:, :1])
    for place in range(7):
        functions.normal_cdf(z[place : place + 1], single[place : place + 1])
    assert np.array_equal(columns[:, 0], whole)
    assert not columns[:, 1].any()
    assert np.array_equal(single, whole[:7])


@pytest.mark.parametrize("portable", [True, False])
def test_portable_processes_compute_the_exponential_from_basic_operations(monkeypatch, portable):
    monkeypatch.setattr("raydient.workers.functions.portable", lambda: portable)
    z = np.linspace(-12, 9, 1001, dtype=np.float32)
    chosen, expected = np.empty_like(z), np.empty_like(z)
    functions.normal_cdf(z, chosen)
    normal_cdf(z, expected, elementary.inplace_exp if portable else exp)
    assert np.array_equal(chosen, expected)


def test_exponentials():
    x = np.linspace(-700, 80, 100_001)
    results = x.copy()
    elementary.inplace_exp(results)
    np.testing.assert_allclose(results, np.exp(x), rtol=1e-9)
