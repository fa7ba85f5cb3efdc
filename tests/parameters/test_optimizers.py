"""Every optimizer against a twin written from its paper, figures of Keras and PyTorch, steps by hand, and cut."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydient.server.parameters.optimizers import OPTIMIZERS
from raydient.spec.optimizers import Optimizer

from .conftest import make_rule
from .optimizer_cases import CASES, FUNCTIONS, KERAS_LACKS, STEPS, TORCH_LACKS
from .optimizer_twins import LAYERWISE_TWINS, TWINS, weights

FIGURES = {
    path.stem.removeprefix("optimizers-"): json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(__file__).parent / "figures").glob("optimizers-*.json")
}
DECAYS = {name for name, (kind, settings) in CASES.items() if kind == "ftrl" or settings.get("weight_decay")}
"""Cases in which a weight moves without a gradient."""


class Run:
    """An optimizer with its arrays; scratch memory begins as NaN, which must not be used."""

    def __init__(self, kind, settings, weights):
        self.rule = make_rule(kind, settings)
        self.weights = np.array(weights, np.float32)
        self.state = [np.full_like(self.weights, value) for value in self.rule.optimizer.state.values()]
        self.scratch = [np.full_like(self.weights, np.nan) for _ in range(2)]
        self.step = 0

    def update(self, gradient, bounds=None):
        gradient, parts = np.asarray(gradient, np.float32), [slice(*b) for b in bounds or [(0, len(gradient))]]
        ratio, optimizer = 1.0, self.rule.layerwise
        if optimizer is not None:
            gradient = gradient.copy()
            for part in parts:
                optimizer.direct(self.step, *self._within(part, gradient))
            norms = [np.linalg.norm(values.astype(np.float64)) for values in (self.weights, gradient)]
            ratio = optimizer.trust(*norms)
        gradient.flags.writeable = False
        if self.rule.decay is not None:
            self.weights *= np.float32(self.rule.decay.factor(self.rule.learning_rate(self.step)))
        for part in parts:
            self.rule.update(self.step, *self._within(part, gradient), ratio=ratio)
        self.step += 1
        return self.weights

    def _within(self, part, gradient):
        scratch = [array[: part.stop - part.start] for array in self.scratch]
        return self.weights[part], gradient[part], [array[part] for array in self.state], scratch


def test_every_option_of_the_specification_is_built_and_tested():
    kinds = set(Optimizer.model_fields)
    assert kinds == set(OPTIMIZERS) == {*TWINS, *LAYERWISE_TWINS} == {kind for kind, _ in CASES.values()}
    for kind in OPTIMIZERS:
        rule = make_rule(kind, {})
        assert (
            rule.learning_rate(0)
            == rule.learning_rate(1000)
            == getattr(Optimizer.model_validate(kind), kind).learning_rate
        )


@pytest.mark.parametrize("kind", sorted(set(OPTIMIZERS) - {"lars"}))
def test_settings_and_defaults_are_those_of_keras(kind):
    ours = {name: field.default for name, field in type(Optimizer.model_validate(kind).value).model_fields.items()}
    theirs = dict(FIGURES["keras"]["defaults"][kind.removeprefix("rowwise_")])
    if kind == "ftrl":
        assert theirs.pop("learning_rate_power") == -0.5, "the rule of the paper"
    if kind == "lamb":
        assert ours.pop("weight_decay") == 0, "Keras has no decay in the ratio"
    assert ours == theirs


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", CASES)
def test_each_step_is_that_of_the_paper(name, function):
    """Both get the same gradients: those at the weights of the optimizer under test."""
    (kind, settings), (gradient, start) = CASES[name], FUNCTIONS[function]
    run, gradients, ours = Run(kind, settings, start), [], []
    for step in range(STEPS):
        gradients.append(gradient(run.weights.astype(np.float64), step).astype(np.float32))
        ours.append(run.update(gradients[-1]).copy())

    twin = weights(kind, np.float32(start), gradients, **settings)
    np.testing.assert_allclose(ours, twin, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("program", ["keras", "torch"])
@pytest.mark.parametrize("name", CASES)
def test_each_step_is_that_of_the_program(name, program):
    """The gradients are those at the weights of the program, whose names and defaults the settings have."""
    kind, settings = CASES[name]
    for function, figures in FIGURES[program].get(name, {}).items():
        gradient, start = FUNCTIONS[function]
        run, at = Run(kind, settings, start), np.array(start)
        for step, expected in enumerate(figures):
            updated = run.update(gradient(at, step))
            np.testing.assert_allclose(updated, expected, rtol=5e-5, atol=5e-6, err_msg=f"{function}, step {step}")
            at = np.array(expected)


def test_the_programs_have_figures_of_all_optimizers_that_they_have():
    for program, lacks in (("keras", KERAS_LACKS), ("torch", TORCH_LACKS)):
        computed = set(FIGURES[program]) - {"command", "versions", "defaults"}
        assert computed == set(CASES) - lacks
        assert all(set(FIGURES[program][name]) == set(FUNCTIONS) for name in computed)


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
    kind, settings = CASES[name]
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


@pytest.mark.parametrize("name", CASES)
def test_weights_and_state_are_updated_in_place_and_the_gradient_is_left_alone(name):
    run = Run(*CASES[name], [1.0, -1.0])
    gradient = np.array([0.5, 2.0], np.float32)
    arrays = [run.weights, *run.state]
    before = [array.copy() for array in arrays]

    run.update(gradient)

    assert gradient.tolist() == [0.5, 2.0]
    assert all((array != old).all() for array, old in zip(arrays, before, strict=True))


@pytest.mark.parametrize("name", [name for name in CASES if name not in DECAYS])
def test_a_zero_gradient_moves_no_weight(name):
    run = Run(*CASES[name], [1.0, -1.0])
    for _ in range(3):
        run.update([0.0, 0.0])

    assert run.weights.tolist() == [1.0, -1.0]


@pytest.mark.parametrize("name", CASES)
def test_an_optimizer_that_rests_at_zero_keeps_every_bit(name):
    run = Run(*CASES[name], [1.0, -0.0, 1e-45, -2.0])
    run.update([1.0, -2.0, 0.5, 3.0])
    run.weights[1] = -0.0
    arrays = [run.weights, *run.state]
    before = [array.tobytes() for array in arrays]

    run.update([0.0] * 4)

    assert run.rule.optimizer.rests_at_zero == ([array.tobytes() for array in arrays] == before)


def test_the_rule_of_ftrl_sets_a_weight_without_gradient_to_zero_and_rests_at_a_rate_of_zero():
    kind, settings = CASES["ftrl"]
    run = Run(kind, settings, [1.0, -1.0])
    run.rule.optimizer.update(0, run.weights, np.ones(2, np.float32), run.state, run.scratch, rate=0.0)
    assert run.weights.tolist() == [1.0, -1.0]

    run.update([0.0, 3.0])

    assert run.weights[0] == 0
    assert run.weights[1] < 0


def test_the_variance_of_a_constant_gradient_is_not_negative():
    """In float32, r - c^2 of a constant gradient is rounding errors, of which half are below 0."""
    settings = {**CASES["rmsprop, centered"][1], "epsilon": 1e-30, "learning_rate": 1e-20}
    run = Run("rmsprop", settings, np.zeros(64))
    for _ in range(300):
        run.update(np.linspace(100, 200, 64))

    assert np.isfinite(run.weights).all()


def test_momenta_of_nadam_are_those_of_the_definition_at_any_step():
    kind, settings = CASES["nadam"]
    for steps in (999, 1000, 1001, 1500):
        run = Run(kind, settings, [1.0])
        run.step = steps - 1
        product = np.prod([0.9 * (1 - 0.5 * 0.96**t) for t in range(1, steps + 1)])
        ahead = 0.9 * (1 - 0.5 * 0.96 ** (steps + 1))
        m_hat = ahead * 0.1 / (1 - product * ahead) + (1 - 0.9 * (1 - 0.5 * 0.96**steps)) / (1 - product)
        expected = 1 - 0.05 * m_hat / (np.sqrt(0.01 / (1 - 0.99**steps)) + 1e-7)
        assert run.update([1.0])[0] == pytest.approx(expected, rel=1e-6)
