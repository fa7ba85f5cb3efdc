"""Each activation against its formula, value by value, and at the ends of the number range."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from raydient.spec import functions as spec
from raydient.workers.network.activations import ACTIVATIONS, activation

FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z)),
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.3 * z,
}

DERIVATIVES = {
    "identity": lambda y: 1.0,
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: 1.0 if y > 0 else 0.0,
    "leaky_relu": lambda y: 1.0 if y > 0 else 0.3,
}

values = arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(-80, 80, width=32))


def make(kind):
    return activation(spec.Activation.model_validate(kind))


def test_formulas_cover_the_table():
    assert FORMULAS.keys() == DERIVATIVES.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("kind", ACTIVATIONS)
@given(z=values)
def test_forward_is_the_formula(kind, z):
    y = z.copy()
    make(kind).inplace_forward(y, np.full_like(y, np.nan))
    np.testing.assert_allclose(y, [FORMULAS[kind](float(v)) for v in z], rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("kind", ACTIVATIONS)
@given(z=values)
def test_backward_multiplies_by_the_derivative(kind, z):
    f, y = make(kind), z.copy()
    f.inplace_forward(y, np.empty_like(y))
    dy = np.arange(1, len(y) + 1, dtype=np.float32)
    expected = [d * DERIVATIVES[kind](float(v)) for d, v in zip(dy, y, strict=True)]
    f.inplace_backward(y, dy, np.full_like(y, np.nan))
    np.testing.assert_allclose(dy, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_numbers_do_no_harm(kind, dtype):
    largest = np.finfo(dtype).max
    y = np.array([-largest, -1e3, 0, 1e3, largest], dtype)
    make(kind).inplace_forward(y, np.empty_like(y))
    assert np.isfinite(y).all()
    assert (np.diff(y) >= 0).all()


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_not_a_number_is_not_hidden(kind):
    y = np.array([np.nan], np.float32)
    make(kind).inplace_forward(y, np.empty_like(y))
    assert np.isnan(y).all()


def test_leaky_relu_takes_its_slope_from_the_specification():
    y = np.array([-2, 3], np.float32)
    make({"leaky_relu": {"negative_slope": 0.25}}).inplace_forward(y, np.empty_like(y))
    assert y.tolist() == [-0.5, 3]
