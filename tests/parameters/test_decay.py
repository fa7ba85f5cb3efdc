"""Decoupled weight decay: against PyTorch's AdamW and SGD, parameter by parameter, and of tables row by row."""

from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters.decay import WeightDecay
from raydient.server.training.decay_problems import decay_problems
from raydient.spec.training import Training
from raydient.steps.gradient import GradientLayout
from raydient.steps.layout import Average, Frozen, Layout

from .conftest import make_rule, make_updater
from .optimizer_cases import CASES

GRADIENTS = [[0.5, -1.0, 0.25], [-0.125, 2.0, 0.0], [1.0, 0.5, -0.5]]
# torch.optim.AdamW(lr=0.1, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.5) on [1, -2, 3], PyTorch 2.13
ADAMW = [[0.85, -1.8, 2.75], [0.7604592, -1.7465607, 2.545342], [0.6492252, -1.7008251, 2.4519861]]
LAYOUT = Layout.of(
    [("a.kernel", (4,)), ("a.bias", (2,)), ("n.mean", (2,)), ("f.kernel", (2,)), ("t.embeddings", (5, 2))],
    {"n.mean": Average(0.5), "f.kernel": Frozen()},
    ["t.embeddings"],
)


def test_adam_with_it_is_the_adamw_of_pytorch(executor):
    settings = {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
    rule, weights = make_rule("adam", settings, weight_decay={"rate": 0.5}), np.array([1, -2, 3], np.float32)
    parameters, state = Layout.of([("a.kernel", (3,))]).parameters, [np.zeros(3, np.float32) for _ in range(2)]
    updater = make_updater(weights, state, rule, 1, 1, executor, parameters=parameters)
    for step, gradient in enumerate(GRADIENTS):
        updater.update(step, {(0, 1): _of(gradient)}, (0, 1))
        np.testing.assert_allclose(weights, ADAMW[step], rtol=1e-5)


def _of(values):
    layout = GradientLayout(len(values))
    gradient = layout.zeros()
    gradient.vector[:] = values
    return gradient


@pytest.mark.parametrize("case", ["sgd", "nesterov", "adagrad", "adam", "lion"])
@pytest.mark.parametrize("exclude", [[], ["*bias"], ["t.*", "a.bias"]])
def test_each_parameter_that_is_not_excluded_decays_first(case, exclude, executor):
    """All rows of a table, in use or not; statistics and frozen parameters stay out of it."""
    decay = {"rate": 0.25, "exclude": exclude}
    rule = replace(make_rule(*CASES[case], weight_decay=decay), learning_rate=lambda step: 0.5**step)
    rng = np.random.default_rng(3)
    start = rng.normal(size=LAYOUT.size).astype(np.float32)
    ours = [start, *(np.full_like(start, value) for value in rule.optimizer.state.values())]
    twin, parameters = [array.copy() for array in ours], LAYOUT.parameters
    tables = GradientLayout.of(LAYOUT).tables
    updater = make_updater(ours[0], ours[1:], rule, 1, 1, executor, parameters=parameters, tables=tables)
    for step in range(3):
        gradient = GradientLayout.of(LAYOUT).zeros()
        gradient.vector[:] = rng.normal(size=LAYOUT.size)
        LAYOUT.views(gradient.vector)["f.kernel"][:] = 0
        gradient.tables[10].write(np.array([1, 3]), rng.normal(size=(2, 2)).astype(np.float32))
        updater.update(step, {(0, 1): gradient}, (0, 1))
        whole = gradient.dense()
        for p in parameters:
            w, *state = (array[p.offset : p.stop] for array in twin)
            g, scratch = whole[p.offset : p.stop], [np.empty(p.size, np.float32) for _ in range(2)]
            if p.name in ("a.kernel", "a.bias", "t.embeddings"):
                stays = {"*bias": ["a.bias"], "t.*": ["a.bias", "t.embeddings"]}.get(exclude[0] if exclude else "", [])
                w *= np.float32(1 if p.name in stays else 1 - 0.5**step * 0.25)
                rule.update(step, w, g, state, scratch)
            elif p.name == "n.mean":
                w[:] = np.float32(0.5) * w + np.float32(0.5) * g
    assert [array.tobytes() for array in ours] == [array.tobytes() for array in twin]


def test_biases_and_normalizations_do_not_decay_by_default():
    names = ["dense_1.kernel", "dense_1.bias", "gru.recurrent_bias", "batch.gamma", "batch.beta", "words.embeddings"]
    settings = Training.model_validate({"weight_decay": {"rate": 0.1}}).weight_decay
    decay = WeightDecay(settings.rate, settings.exclude)
    layout = Layout.of([(name, (1,)) for name in names])
    assert [p.name for p in layout.parameters if decay.concerns(p)] == ["dense_1.kernel", "words.embeddings"]


@pytest.mark.parametrize(
    ("exclude", "path", "words"),
    [
        (
            ["a.*", "b.*"],
            "training.weight_decay.exclude[1]",
            'no parameter matches "b.*": the parameters are a.kernel',
        ),
        (["*"], "training.weight_decay.exclude", "no parameter that is learned is left to decay"),
    ],
)
def test_patterns_that_do_not_fit_the_network(exclude, path, words):
    training = Training.model_validate({"weight_decay": {"rate": 0.1, "exclude": exclude}})
    (error,) = decay_problems(training, LAYOUT)
    assert error.path == path
    assert words in error.message


def test_patterns_that_fit():
    for weight_decay in (None, {"rate": 0.1}, {"rate": 0.1, "exclude": ["t.*"]}):
        assert not decay_problems(Training.model_validate({"weight_decay": weight_decay}), LAYOUT)
