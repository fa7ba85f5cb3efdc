"""Every optimizer against a twin written from its paper in float64, against steps by hand, and cut into pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters.optimizers import OPTIMIZERS
from raydient.spec.optimizers import Optimizer

from .conftest import make_rule


def sgd(gradient, w, steps, learning_rate, **_):
    """Robbins and Monro (1951)."""
    for _ in range(steps):
        w = w - learning_rate * gradient(w)
    return w


def momentum(gradient, w, steps, learning_rate, momentum, **_):
    """Polyak (1964), as the difference of the last two positions."""
    before = w
    for _ in range(steps):
        w, before = w - learning_rate * gradient(w) + momentum * (w - before), w
    return w


def nesterov(gradient, w, steps, learning_rate, momentum, **_):
    """Sutskever et al. (2013), equations 3 and 4: the gradient is taken ahead, where the result would take it next."""
    velocity = np.zeros_like(w)
    for _ in range(steps):
        velocity = momentum * velocity - learning_rate * gradient(w + momentum * velocity)
        w = w + velocity
    return w + momentum * velocity


def adam(gradient, w, steps, learning_rate, beta_1, beta_2, epsilon):
    """Kingma and Ba (2015), algorithm 1 as printed."""
    m = v = np.zeros_like(w)
    for t in range(1, steps + 1):
        g = gradient(w)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        w = w - learning_rate * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return w


CASES = {
    "sgd": ("sgd", {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False}, sgd),
    "momentum": ("sgd", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": False}, momentum),
    "nesterov": ("sgd", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}, nesterov),
    "adam": ("adam", {"learning_rate": 0.02, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}, adam),
    "adam, large epsilon": ("adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}, adam),
    "adam, no memory": ("adam", {"learning_rate": 0.1, "beta_1": 0.0, "beta_2": 0.0, "epsilon": 1e-3}, adam),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


class Run:
    """An optimizer with its arrays; scratch memory begins as NaN, which must not be used."""

    def __init__(self, kind, settings, weights):
        self.rule = make_rule(kind, settings)
        self.weights = np.array(weights, np.float32)
        self.state = [np.zeros_like(self.weights) for _ in self.rule.optimizer.state]
        self.scratch = [np.full_like(self.weights, np.nan) for _ in range(2)]
        self.step = 0

    def update(self, gradient, bounds=None):
        gradient = np.array(gradient, np.float32)
        gradient.flags.writeable = False
        for start, stop in bounds or [(0, len(gradient))]:
            part = slice(start, stop)
            self.rule.update(
                self.step, self.weights[part], gradient[part], [s[part] for s in self.state],
                [s[: stop - start] for s in self.scratch],
            )  # fmt: skip
        self.step += 1
        return self.weights


def test_every_option_of_the_specification_is_built_and_tested():
    assert set(OPTIMIZERS) == set(Optimizer.model_fields) == {kind for kind, _, _ in CASES.values()}
    for kind in OPTIMIZERS:
        option = Optimizer.model_validate(kind)
        rule = make_rule(option.kind, {})
        assert rule.learning_rate(0) == rule.learning_rate(1000) == option.value.learning_rate


@pytest.mark.parametrize("seed", range(3))
def test_an_optimizer_is_the_rule_of_its_paper(case, seed):
    """On a bowl whose sides differ in steepness, fifty steps."""
    kind, settings, twin = case
    rng = np.random.default_rng(seed)
    steepness, bottom, start = rng.uniform(0.2, 2, 40), rng.normal(size=40), rng.normal(size=40)

    def gradient(w):
        return steepness * (w - bottom)

    run = Run(kind, settings, start)
    for _ in range(50):
        run.update(gradient(run.weights.astype(np.float64)))

    np.testing.assert_allclose(run.weights, twin(gradient, start, 50, **settings), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "settings", "gradients", "weights"),
    [
        ("sgd", {"learning_rate": 0.5, "momentum": 0.0, "nesterov": False}, [2, -1], [0, 0.5]),
        # v = -1, then 0.5 * -1 - 0.5 * 2 = -2 + 0.5
        ("sgd", {"learning_rate": 0.5, "momentum": 0.5, "nesterov": False}, [2, 2], [0, -1.5]),
        # v = -1: 1 + 0.5 * -1 - 1; v = -1.5: -0.5 + 0.5 * -1.5 - 1
        ("sgd", {"learning_rate": 0.5, "momentum": 0.5, "nesterov": True}, [2, 2], [-0.5, -2.25]),
        # the first step is the learning rate, whatever the gradient; then m = 0.27 / 0.19, v = 0.008991 / 0.001999
        ("adam", {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}, [3, 0], [0.9, 0.8329942]),
        ("adam", {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1.0}, [3], [1 - 0.1 * 3 / 4]),
        ("adam", {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}, [-4e-3, 0], [1.1, 1.1670058]),
    ],
)
def test_steps_by_hand(kind, settings, gradients, weights):
    run = Run(kind, settings, [1.0])
    for gradient, expected in zip(gradients, weights, strict=True):
        assert run.update([gradient])[0] == pytest.approx(expected, abs=2e-5)


@given(
    name=st.sampled_from(list(CASES)),
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 300),
    cuts=st.lists(st.integers(0, 300), max_size=5),
)
def test_cutting_the_vector_changes_no_bit(name, seed, size, cuts):
    kind, settings, _ = CASES[name]
    rng = np.random.default_rng(seed)
    start = rng.normal(size=size)
    inner = sorted(min(cut, size) for cut in cuts)
    bounds = list(zip([0, *inner], [*inner, size], strict=True))
    whole, parts = Run(kind, settings, start), Run(kind, settings, start)
    for _ in range(3):
        gradient = rng.normal(size=size) * 10.0 ** rng.integers(-6, 4)
        whole.update(gradient)
        parts.update(gradient, bounds)

    assert whole.weights.tobytes() == parts.weights.tobytes()
    assert [s.tobytes() for s in whole.state] == [s.tobytes() for s in parts.state]


def test_weights_and_state_are_updated_in_place_and_the_gradient_is_left_alone(case):
    kind, settings, _ = case
    run = Run(kind, settings, [1.0, -1.0])
    gradient = np.array([0.5, 2.0], np.float32)
    arrays = [run.weights, *run.state]
    before = [array.copy() for array in arrays]

    run.rule.update(0, run.weights, gradient, run.state, run.scratch)

    assert gradient.tolist() == [0.5, 2.0]
    assert all((array != old).all() for array, old in zip(arrays, before, strict=True))


def test_a_zero_gradient_moves_no_weight(case):
    kind, settings, _ = case
    run = Run(kind, settings, [1.0, -1.0])
    for _ in range(3):
        run.update([0.0, 0.0])

    assert run.weights.tolist() == [1.0, -1.0]
