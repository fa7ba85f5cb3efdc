"""The safeguard of a stale job: its levels, and when it goes to the next one."""

from math import nan

import pytest

from raydient.server.parameters.consistency import Asynchronous, BoundedStaleness, policy_of
from raydient.server.parameters.safeguard import SAFEGUARD, Level, Safeguard, level_of, levels
from raydient.spec.consistency import SYNCHRONOUS, Consistency
from raydient.steps.watched import Watched


def model(kind="asynchronous", limit=None, **safeguard):
    settings = {"safeguard": safeguard} | ({} if limit is None else {"limit": limit})
    return Consistency.model_validate({kind: settings})


@pytest.mark.parametrize(
    ("consistency", "expected"),
    [
        (model(), [(None, 1), (4, 1), (1, 1), (1, 0.5), (1, 0.25), (0, 0.25)]),
        (model("bounded_staleness", 20), [(20, 1), (5, 1), (1, 1), (1, 0.5), (1, 0.25), (0, 0.25)]),
        (model("bounded_staleness", 2), [(2, 1), (1, 1), (1, 0.5), (1, 0.25), (0, 0.25)]),
        (model("bounded_staleness", 1), [(1, 1), (1, 0.5), (1, 0.25), (0, 0.25)]),
        (model(lower_limit=False), [(None, 1), (None, 0.5), (None, 0.25), (0, 0.25)]),
        (model(reduce_rate=False), [(None, 1), (4, 1), (1, 1), (0, 1)]),
        (model(synchronize=False), [(None, 1), (4, 1), (1, 1), (1, 0.5), (1, 0.25)]),
        (model(lower_limit=False, reduce_rate=False, synchronize=False), [(None, 1)]),
        (Consistency.model_validate({"asynchronous": {}}), [(None, 1)]),
        (SYNCHRONOUS, [(0, 1)]),
    ],
    ids=str,
)
def test_levels(consistency, expected):
    assert [(level.limit, level.rate) for level in levels(consistency)] == expected


def test_the_policy_follows_the_level():
    consistency = model(reduce_rate=False)
    kinds = []
    for number in range(5):
        watched = {SAFEGUARD: Watched(reductions=number)}
        policy = policy_of(consistency, 4, watched)
        kinds.append((type(policy), level_of(consistency, watched).limit))
        assert policy.is_stale
    assert kinds == [(Asynchronous, None), *[(BoundedStaleness, limit) for limit in (4, 1, 0, 0)]]


def states(losses, factor=1.5, most=9):
    """Return the level after each epoch."""
    guard, watched, reached = Safeguard(factor, most), Watched(), []
    for epoch, loss in enumerate(losses, 1):
        watched = guard.after(watched, epoch, {} if loss is None else {"train_loss": loss})
        reached.append(watched.reductions)
    return reached


def test_a_loss_that_falls_or_wavers_changes_nothing():
    assert states([2.0, 1.0, 1.4, 0.5, 0.74, None, 0.7]) == [0] * 7


def test_a_loss_that_rises_leads_to_the_next_level():
    assert states([2.0, 1.0, 1.6]) == [0, 0, 1]


def test_after_a_change_the_loss_may_fall_from_where_it_is():
    assert states([1.0, 8.0, 6.0, 4.0, 5.9, 6.1]) == [0, 1, 1, 1, 1, 2]


def test_a_loss_that_is_no_number_leads_to_the_next_level():
    assert states([1.0, nan, nan, 3.0, 2.0]) == [0, 1, 2, 2, 2]


def test_no_level_follows_the_last_one():
    assert states([1.0, 2.0, 4.0, 8.0], most=2) == [0, 1, 2, 2]


def test_a_level_in_words():
    assert str(Level(4)) == "the staleness is at most 4"
    assert str(Level(None, 0.5)) == "the staleness has no bound, with 0.5 of the learning rate"
    assert str(Level(0, 0.25)) == "training is synchronous, with 0.25 of the learning rate"
