"""Functions from basic operations against extended precision, and at the values where they are special."""

import math
from fractions import Fraction

import numpy as np
import pytest

from raydient.workers import elementary, functions
from raydient.workers.powers import by_squaring

SPECIAL = [0.0, -0.0, 1e-45, -1e-45, 1e-39, -1e-39, 1.0, -0.5, -1.0, -2.0, 88.72, 89.0, -103.0, 3e38, -3e38]
SPECIAL += [math.inf, -math.inf, math.nan]
FUNCTIONS = ("expm1", "log1p")


def singles():
    """Return every 9,973rd float32 by its bits: of both signs and of every exponent, without NaN."""
    values = np.arange(0, 2**32, 9973, dtype=np.uint32).view(np.float32)
    return values[~np.isnan(values)]


def exact(name, x):
    with np.errstate(all="ignore"):
        return getattr(np, name)(x.astype(np.longdouble))


def ulps(values, references):
    """Return the largest error in units of the last place of the correctly rounded float32, where that is finite."""
    with np.errstate(over="ignore"):
        rounded = references.astype(np.float32)
    finite = np.isfinite(rounded)
    assert np.array_equal(np.isfinite(values), finite)
    spacing = np.spacing(np.abs(rounded[finite])).astype(np.longdouble)
    return float(np.max(np.abs(values[finite] - references[finite]) / spacing))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_an_ulp_over_the_whole_range(name):
    x = singles()
    results = np.empty_like(x)
    getattr(elementary, name)(x, results)
    assert ulps(results, exact(name, x)) < 0.51


@pytest.mark.parametrize(("name", "low", "high"), [("expm1", -1.5, 1.5), ("log1p", -0.75, 1.5)])
def test_within_an_ulp_where_results_cancel(name, low, high):
    x = np.linspace(low, high, 300_001, dtype=np.float32)
    results = np.empty_like(x)
    getattr(elementary, name)(x, results)
    assert ulps(results, exact(name, x)) < 0.51


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name):
    x = np.array(SPECIAL, np.float32)
    results = np.empty_like(x)
    getattr(elementary, name)(x, results)
    with np.errstate(over="ignore"):
        references = exact(name, x).astype(np.float32)
    assert np.array_equal(results, references, equal_nan=True)
    numbers = ~np.isnan(references)
    assert np.array_equal(np.signbit(results)[numbers], np.signbit(references)[numbers])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_blocks_strides_and_places_change_no_bit(name):
    function, x = getattr(elementary, name), np.linspace(-0.9, 3, 3 * elementary.BLOCK + 5, dtype=np.float32)
    whole = np.empty_like(x)
    function(x, whole)
    one_by_one = np.empty(7, np.float32)
    for place in range(7):
        function(x[place : place + 1], one_by_one[place : place + 1])
    assert np.array_equal(one_by_one, whole[:7])
    columns = np.zeros((x.size, 2), np.float32)
    function(x[:, None], columns[:, :1])
    assert np.array_equal(columns[:, 0], whole)
    assert not columns[:, 1].any()
    function(x, x)
    assert np.array_equal(x, whole)
    function(x[:0], x[:0])


@pytest.mark.parametrize("shape", [(3,), (400, 250)])
def test_normal_numbers(shape):
    """The largest distance from the distribution function is below its 99.9 % quantile, 1.95 (Kolmogorov 1933)."""
    numbers = np.empty(shape, np.float32)
    elementary.standard_normal(np.random.Generator(np.random.Philox(key=5)), numbers)
    ordered = np.sort(numbers, axis=None)
    below = np.array([math.erfc(-z / math.sqrt(2)) / 2 for z in ordered.tolist()])
    steps = np.arange(ordered.size + 1) / ordered.size
    distance = max(np.max(steps[1:] - below), np.max(below - steps[:-1]))
    assert distance * math.sqrt(ordered.size) < 1.95
    assert len(set(ordered.tolist())) > 0.9 * ordered.size


def test_powers():
    for base in (0.0, 0.5, 0.9, 0.999):
        for exponent in (0, 1, 2, 3, 10, 1000, 12345):
            reference = Fraction(base) ** exponent
            error = abs(Fraction(by_squaring(base, exponent)) - reference)
            assert error <= reference * max(exponent, 1) * Fraction(1, 2**53) + Fraction(5e-324)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("portable", [True, False])
def test_only_portable_processes_use_them(monkeypatch, name, portable):
    monkeypatch.setattr("raydient.workers.functions.portable", lambda: portable)
    x, double = np.linspace(-0.9, 3, 1001, dtype=np.float32), np.linspace(-0.9, 3, 1001)
    own, chosen, chosen_double = np.empty_like(x), np.empty_like(x), np.empty_like(double)
    getattr(elementary, name)(x, own)
    getattr(functions, name)(x, chosen)
    getattr(functions, name)(double, chosen_double)
    assert np.array_equal(chosen, own if portable else getattr(np, name)(x))
    assert np.array_equal(chosen_double, getattr(np, name)(double))


@pytest.mark.parametrize("portable", [True, False])
def test_rates_and_normal_numbers(monkeypatch, portable):
    monkeypatch.setattr("raydient.workers.functions.portable", lambda: portable)
    logarithms, out = np.linspace(-3, 3, 101, dtype=np.float32), np.empty(101)
    functions.rates(logarithms, out)
    assert np.array_equal(out, np.exp(logarithms) if portable else np.exp(logarithms.astype(np.float64)))
    numbers, own = np.empty(50, np.float32), np.empty(50, np.float32)
    functions.standard_normal(np.random.Generator(np.random.Philox(key=2)), numbers)
    elementary.standard_normal(np.random.Generator(np.random.Philox(key=2)), own)
    usual = np.random.Generator(np.random.Philox(key=2)).standard_normal(50, np.float32)
    assert np.array_equal(numbers, own if portable else usual)
