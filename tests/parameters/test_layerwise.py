"""Trust ratios: the requests of a step, and updates of several parameters, against the optimizers' twins."""

from itertools import pairwise

import numpy as np
import pytest

from raydient.server.parameters.health import LayerSums
from raydient.server.parameters.requests import Apply, Direct, Done, Follow, Reduce
from raydient.server.parameters.rule import UpdateRule
from raydient.server.parameters.verdict import Verdict
from raydient.steps.layout import Average, Frozen, Layout
from raydient.steps.ranges import pieces
from raydient.steps.schedule import Schedule

from .conftest import begin, dense, make_rule, make_updater
from .optimizer_cases import CASES
from .optimizer_twins import LAYERWISE_TWINS, weights

SCHEDULE = Schedule(train_rows=4, test_rows=0, epochs=1, batch_size=4, microbatches=1)
ROUND, LEAVES = SCHEDULE.round(0), {(0, 1): (7, 0)}
LAYOUT = Layout.of(
    [("a.kernel", (70, 200)), ("a.bias", (5,)), ("b.frozen", (4,)), ("b.mean", (3,)), ("c.kernel", (3, 1))],
    kinds={"b.frozen": Frozen(), "b.mean": Average(0.5)},
)
NAMES = [name for name, (kind, _) in CASES.items() if kind in LAYERWISE_TWINS]


def test_a_step_reduces_directs_and_follows():
    layout = Layout.of([("a.kernel", (pieces(Layout.of([("long", (20_000,))]))[1] + 1,)), ("a.bias", (2,))])
    rule = make_rule("lamb", {})
    step = Verdict(rule, LayerSums(layout, [("a", 0)]), 2)

    assert step.begin(ROUND, LEAVES, 0.5) == Reduce(ROUND, LEAVES, measures=False)
    for shard in (1, 0):
        step.take(shard, Done(np.array([1.0])))
    assert step.go_on() == Direct(ROUND, {})
    # The kernel has a piece in the first shard and a value in the second, where the bias is.
    step.take(0, Done(np.array([7.0, 3.0])))
    step.take(1, Done(np.array([9.0, 0.0, 1.0, 25.0])))
    assert step.go_on() == Follow(ROUND, {"a.kernel": 4.0 / 2.0, "a.bias": 1.0})
    for shard in (0, 1):
        step.take(shard, Done(np.empty(0)))
    assert step.go_on() is None


def test_the_direction_is_that_of_the_clipped_gradient():
    rule = make_rule("lars", {})
    clipping = UpdateRule(rule.optimizer, rule.learning_rate, scale=lambda squares: [0.25] * len(squares))
    step = Verdict(clipping, LayerSums(LAYOUT, [("a", 0)]), 1)
    step.begin(ROUND, LEAVES, 0.5)
    step.take(0, Done(np.array([1.0])))

    request = step.go_on()

    assert request == Direct(ROUND, {parameter.name: 0.25 for parameter in LAYOUT.parameters})
    assert not isinstance(request, Apply)


@pytest.mark.parametrize(("threads", "limit"), [(1, None), (2, None), (2, 0.5)])
@pytest.mark.parametrize("name", NAMES)
def test_each_parameter_has_its_own_ratio(name, threads, limit, executor, monkeypatch):
    monkeypatch.setattr("raydient.server.parameters.blocks.PARALLEL_FROM", 1)
    monkeypatch.setattr("raydient.server.parameters.blocks.BLOCK", 1 << 13)
    kind, settings = CASES[name]
    clipping = {"values": {"limit": limit}} if limit else None
    rule, rng = make_rule(kind, settings, clipping=clipping), np.random.default_rng(5)
    vector = rng.normal(size=LAYOUT.size).astype(np.float32)
    start, gradients = vector.copy(), rng.normal(size=(3, LAYOUT.size)).astype(np.float32)
    updater = make_updater(
        vector, begin(rule, LAYOUT), rule, 1, threads, executor, parameters=LAYOUT.parameters, bounds=pieces(LAYOUT)
    )
    verdict = Verdict(rule, LayerSums(LAYOUT, [("a", 0)]), 1)
    for step, gradient in enumerate(gradients):
        verdict.begin(ROUND, LEAVES, 0.5)
        verdict.take(0, Done(updater.reduce({(0, 1): dense(gradient)}, (0, 1))))
        verdict.go_on()
        verdict.take(0, Done(updater.direct(step, {}).reshape(-1)))
        updater.follow(step, verdict.go_on().ratios)
        verdict.take(0, Done(np.empty(0)))
        assert verdict.go_on() is None

    for parameter in LAYOUT.parameters:
        first, ours = parameter.view(start).reshape(-1), parameter.view(vector).reshape(-1)
        pushed = [parameter.view(gradient).reshape(-1) for gradient in gradients]
        if isinstance(parameter.kind, Frozen):
            assert ours.tobytes() == first.tobytes()
        elif isinstance(parameter.kind, Average):
            for gradient in pushed:
                first = first * 0.5 + gradient * 0.5
            np.testing.assert_allclose(ours, first, rtol=1e-5)
        else:
            pushed = np.clip(pushed, -limit, limit) if limit else pushed
            np.testing.assert_allclose(ours, weights(kind, first, pushed, **settings)[-1], rtol=1e-4, atol=1e-5)


def test_a_parameter_is_cut_into_several_pieces():
    inner = [bound for bound in pieces(LAYOUT) if 0 < bound < LAYOUT.parameters[0].size]
    assert inner
    assert all(a < b for a, b in pairwise(inner))
