"""The compiled form of an optimizer gives the bits of the other form, and is chosen for large vectors."""

import sys

import numpy as np
import pytest

from raydient.server.parameters.optimizers import Adam, Momentum, Sgd, fastest
from raydient.server.parameters.optimizers.choice import COMPILED_FROM
from raydient.server.parameters.optimizers.compiled import COMPILED, compiled

from .conftest import make_rule

OPTIMIZERS = {
    "descent": Sgd(),
    "momentum": Momentum(0.9, nesterov=False),
    "nesterov": Momentum(0.9, nesterov=True),
    "adam": Adam(0.9, 0.999, 1e-7),
    "amsgrad": Adam(0.9, 0.999, 1e-7, amsgrad=True),
}
EDGES = [0.0, -0.0, 1e-45, -1e-45, 1e-20, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, 1.0, -1.0]


def values(rng, size):
    """Random numbers of many magnitudes, and the numbers at the edges of float32 among them."""
    numbers = rng.normal(size=size) * 10.0 ** rng.integers(-30, 30, size)
    edges = rng.random(size) < 0.1
    numbers[edges] = rng.choice(EDGES, edges.sum())
    return numbers.astype(np.float32)


def same(one, other):
    """Return True if two arrays have the same bits; any NaN equals any other."""
    return np.array_equal(
        np.where(np.isnan(one), 7, one.view(np.int32)), np.where(np.isnan(other), 7, other.view(np.int32))
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(1,), (7,), (4099,), (33, 5)])
@np.errstate(all="ignore")
def test_both_forms_have_the_same_bits(name, shape):
    optimizer = OPTIMIZERS[name]
    rng, size = np.random.default_rng(sum(shape)), int(np.prod(shape))
    weights = values(rng, size).reshape(shape)
    forms = {form: (weights.copy(), [np.full_like(weights, v) for v in form.state.values()])
             for form in (optimizer, compiled(optimizer))}  # fmt: skip
    scratch = [np.full_like(weights, np.nan) for _ in range(2)]
    for step in range(5):
        gradient = values(rng, size).reshape(shape)
        gradient.flags.writeable = False
        for form, (vector, state) in forms.items():
            form.update(step, vector, gradient, state, scratch, rate=0.01)
        (one, one_state), (other, other_state) = forms.values()
        assert all(map(same, [one, *one_state], [other, *other_state]))


def test_there_is_one_for_each_of_these():
    assert {type(optimizer) for optimizer in OPTIMIZERS.values()} == set(COMPILED)


def test_large_vectors_have_the_compiled_form():
    rule = make_rule("adam", {})
    assert type(rule.for_size(COMPILED_FROM).optimizer) is COMPILED[Adam]
    assert rule.for_size(COMPILED_FROM - 1).optimizer is rule.optimizer


def test_others_stay_as_they_are():
    rule = make_rule("lion", {})
    assert rule.for_size(COMPILED_FROM).optimizer is rule.optimizer


def test_without_the_extra_there_is_no_compiled_form(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    optimizer = Sgd()
    assert fastest(optimizer, COMPILED_FROM) is optimizer
