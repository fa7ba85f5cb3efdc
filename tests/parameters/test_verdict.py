"""The end of a step in several shards: which request follows which answers."""

from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters.actions import Diverged
from raydient.server.parameters.health import LayerSums
from raydient.server.parameters.requests import Apply, Done, Examine, Examined, Measured, Reduce, Update
from raydient.server.parameters.verdict import Verdict
from raydient.steps.layout import Layout
from raydient.steps.schedule import Schedule

from .conftest import make_rule

SCHEDULE = Schedule(train_rows=4, test_rows=0, epochs=1, batch_size=4, microbatches=1)
ROUND = SCHEDULE.round(0)
RULE = make_rule("sgd", {"learning_rate": 0.1, "momentum": 0.0, "nesterov": False})
CLIPPING = replace(RULE, scale=lambda squares: [1.0 if np.sum(squares) < 9 else 0.5] * len(squares))
HALVES = {"a.kernel": 0.5, "b.kernel": 0.5, "c.kernel": 0.5}
LAYOUT = Layout.of([(name, (3,)) for name in ("a.kernel", "b.kernel", "c.kernel")])
LEAVES = {(0, 1): (7, 0)}
SHARDS = 3


def verdict(rule=RULE):
    return Verdict(rule, LayerSums(LAYOUT, [("a", 0)]), SHARDS)


def done(square):
    return Done(np.array([square]))


def examined(*parameters):
    return Examined(parameters, Measured(np.zeros((1, 4))))


def answer_all(step, *answers):
    """Have the shards answer, the last one first; return what follows."""
    complete = [step.take(shard, answer) for shard, answer in reversed(list(enumerate(answers)))]
    assert complete == [False] * (SHARDS - 1) + [True]
    return step.go_on()


def test_a_step_without_a_verdict_takes_one_request():
    step = verdict()
    assert step.begin(ROUND, LEAVES, 0.5) == step.pending == Update(ROUND, LEAVES, measures=False)
    assert answer_all(step, done(1), done(2), done(3)) is None
    assert step.pending is None


@pytest.mark.parametrize(("squares", "factors"), [((1, 2, 3), {}), ((4, 4, 4), HALVES)])
def test_the_factor_follows_from_the_squares_of_all_shards(squares, factors):
    step = verdict(CLIPPING)
    assert step.begin(ROUND, LEAVES, 0.5) == Reduce(ROUND, LEAVES, measures=False)
    assert answer_all(step, *map(done, squares)) == Apply(ROUND, factors)
    assert answer_all(step, *[Done(np.empty(0))] * SHARDS) is None


@pytest.mark.parametrize("rule", [RULE, CLIPPING])
def test_a_square_of_one_shard_that_is_not_finite_is_examined(rule):
    step = verdict(rule)
    step.begin(ROUND, LEAVES, 0.5)
    assert answer_all(step, done(1), done(np.nan), done(3)) == Examine(ROUND, LEAVES, measures=False)
    parameters = [("a.kernel", True, 1.0)], [("b.kernel", False, -1.0)], [("c.kernel", True, 9.0)]
    end = answer_all(step, *(examined(*part) for part in parameters))
    assert end == Diverged(ROUND.kind, 0, 0.5, "b.kernel", finite=False)
    assert step.health.step == 1


def test_only_the_square_of_a_finite_gradient_overflows():
    step = verdict(CLIPPING)
    step.begin(ROUND, LEAVES, 0.5)
    answer_all(step, done(1e300), done(np.inf), done(0))
    assert answer_all(step, *[examined(("a.kernel", True, 1.0))] * SHARDS) == Apply(ROUND, HALVES)


def test_answers_that_are_not_due_are_refused():
    step = verdict()
    with pytest.raises(ValueError, match="not due"):
        step.take(0, done(1))
    step.begin(ROUND, LEAVES, 0.5)
    step.take(1, done(1))
    for shard in (1, SHARDS, -1):
        with pytest.raises(ValueError, match="not due"):
            step.take(shard, done(1))
    with pytest.raises(ValueError, match="Examined is no answer to Update"):
        step.take(0, examined())
