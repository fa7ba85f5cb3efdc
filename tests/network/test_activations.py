"""Activations against their formulas, value by value, and with the largest numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from raydient.spec import functions as spec
from raydient.workers.network.activations import ACTIVATIONS, activation

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772


def logistic(z):
    return 1 / (1 + math.exp(-z)) if z > 0 else math.exp(max(z, -700)) / (1 + math.exp(max(z, -700)))


def gelu_slope(z):
    root, cube = math.sqrt(2 / math.pi), 0.044715
    t = math.tanh(root * (z + cube * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t * t) * root * (1 + 3 * cube * z * z)


FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": logistic,
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.3 * z,
    "elu": lambda z: z if z > 0 else math.expm1(z),
    "selu": lambda z: LAMBDA * (z if z > 0 else ALPHA * math.expm1(z)),
    "gelu": lambda z: z * logistic(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)),
    "exact_gelu": lambda z: z * math.erfc(-z / math.sqrt(2)) / 2,
    "silu": lambda z: z * logistic(z),
    "softplus": lambda z: max(z, 0.0) + math.log1p(math.exp(-abs(z))),
    "hard_step": lambda z: 1.0 if z >= 0 else 0.0,
}

DERIVATIVES = {
    "identity": lambda z: 1.0,
    "sigmoid": lambda z: logistic(z) * logistic(-z),
    "tanh": lambda z: 1 - math.tanh(z) ** 2,
    "relu": lambda z: 1.0 if z > 0 else 0.0,
    "leaky_relu": lambda z: 1.0 if z > 0 else 0.3,
    "elu": lambda z: 1.0 if z > 0 else math.exp(z),
    "selu": lambda z: LAMBDA * (1.0 if z > 0 else ALPHA * math.exp(z)),
    "gelu": gelu_slope,
    "exact_gelu": lambda z: math.erfc(-z / math.sqrt(2)) / 2 + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    "silu": lambda z: logistic(z) + z * logistic(z) * logistic(-z),
    "softplus": logistic,
    "hard_step": lambda z: 0.0,
}
ROUNDING = {"gelu": 2e-5}
"""An exponential multiplies the rounding error of its argument by the argument, here up to 87."""
BY_VALUE = sorted(ACTIVATIONS.keys() - {"softmax"})

values = arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(-80, 80, width=32))


def make(kind, shape=(), dtype=np.float32):
    """Compute the function; return its values and the saved arrays."""
    made = activation(spec.Activation.model_validate(kind))
    return made, {name: np.full(size, np.nan, kept or dtype) for name, (size, kept) in made.saved(shape).items()}


def forward(kind, y):
    """Compute the function in place; return the arrays for backward."""
    made, saved = make(kind, y.shape, y.dtype)
    made.inplace_forward(y, np.full_like(y, np.nan), saved)
    return made, saved


def test_formulas_cover_the_table():
    assert FORMULAS.keys() == DERIVATIVES.keys() == set(BY_VALUE)


@pytest.mark.parametrize("kind", BY_VALUE)
@given(z=values)
def test_forward_is_the_formula(kind, z):
    y = z.copy()
    forward(kind, y)
    np.testing.assert_allclose(y, [FORMULAS[kind](float(v)) for v in z], rtol=ROUNDING.get(kind, 2e-6), atol=1e-30)


@pytest.mark.parametrize("kind", BY_VALUE)
@given(z=values)
def test_backward_multiplies_by_the_derivative(kind, z):
    y = z.copy()
    f, saved = forward(kind, y)
    dy = np.arange(1, len(y) + 1, dtype=np.float32)
    expected = [d * DERIVATIVES[kind](float(v)) for d, v in zip(dy, z, strict=True)]
    f.inplace_backward(y, dy, np.full_like(y, np.nan), saved)
    np.testing.assert_allclose(dy, expected, rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("kind", BY_VALUE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_numbers_do_not_overflow(kind, dtype):
    largest = np.finfo(dtype).max / 2
    y = np.array([-largest, -1e3, 0, 1e3, largest], dtype)
    with np.errstate(over="ignore"):
        f, saved = forward(kind, y)
        assert np.isfinite(y).all()
        assert (np.diff(y) >= 0).all()
        dy = np.ones_like(y)
        f.inplace_backward(y, dy, np.empty_like(y), saved)
    assert np.isfinite(dy).all()


@given(
    z=arrays.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 5)), elements=st.floats(-80, 80, width=32))
)
def test_softmax_is_the_formula(z):
    y = z.copy()
    f, saved = forward("softmax", y)
    for row, actual in zip(z.astype(float), y, strict=True):
        exponentials = [math.exp(v - max(row)) for v in row]
        np.testing.assert_allclose(actual, [e / sum(exponentials) for e in exponentials], rtol=1e-5, atol=1e-30)
    exact, dy = y.astype(float), np.arange(y.size, dtype=np.float32).reshape(y.shape)
    expected = [(np.diag(p) - np.outer(p, p)) @ d for p, d in zip(exact, dy, strict=True)]
    f.inplace_backward(y, dy, np.full_like(y, np.nan), saved)
    np.testing.assert_allclose(dy, expected, rtol=1e-5, atol=1e-5)


def test_softmax_of_the_largest_numbers_is_a_distribution():
    y = np.array([[-1e38, 0, 1e38], [1e38, 1e38, 1e38]], np.float32)
    forward("softmax", y)
    np.testing.assert_allclose(y, [[0, 0, 1], [1 / 3] * 3], rtol=1e-6)


def test_gelu_is_near_its_exact_form():
    z = np.linspace(-6, 6, 1001)
    y = z.copy()
    forward("gelu", y)
    exact = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in z]
    assert 1e-4 < np.abs(y - exact).max() < 5e-4


def test_elu_and_its_slope_take_alpha_from_the_specification():
    y, dy = np.array([-1.0, 2.0]), np.ones(2)
    f, saved = forward({"elu": {"alpha": 0.5}}, y)
    np.testing.assert_allclose(y, [0.5 * math.expm1(-1), 2])
    f.inplace_backward(y, dy, np.empty(2), saved)
    np.testing.assert_allclose(dy, [0.5 * math.exp(-1), 1])


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_not_a_number_is_not_hidden(kind):
    y = np.array([np.nan], np.float32)
    forward(kind, y)
    assert np.isnan(y).all()


def test_leaky_relu_takes_its_slope_from_the_specification():
    y = np.array([-2, 3], np.float32)
    forward({"leaky_relu": {"negative_slope": 0.25}}, y)
    assert y.tolist() == [-0.5, 3]
