"""Leaves that stay with their workers: no plan and no loss moves one."""

import pytest

from raydient.server.parameters.assignments import Assignments
from raydient.server.parameters.consistency import FixedLeaves
from raydient.server.parameters.opened import Opened
from raydient.steps.schedule import Schedule

SCHEDULE = Schedule(train_rows=23, test_rows=0, epochs=2, batch_size=10, microbatches=5)


@pytest.fixture
def policy():
    return FixedLeaves(5)


def open_round(number):
    round_ = SCHEDULE.round(number)
    return {number: Opened(round_, Assignments(round_.leaves))}


def hand_out(policy, opened, workers, shares=None):
    return [
        (worker, first, last)
        for worker, _, first, last in policy.hand_out(opened, workers, shares or [1.0] * len(workers), lambda: None)
    ]


def test_the_first_plan_divides_the_leaves_for_good(policy):
    assert policy.holders == []
    assert hand_out(policy, open_round(0), [4, 7]) == [(4, 0, 2), (7, 2, 5)]
    assert hand_out(policy, open_round(1), [7, 4, 9], [1.0, 8.0, 1.0]) == [(4, 0, 2), (7, 2, 5)]
    assert policy.holders == [4, 7]


def test_a_round_with_fewer_leaves_has_the_first_ones(policy):
    hand_out(policy, open_round(0), [4, 7])
    assert SCHEDULE.round(2).leaves == 3
    assert hand_out(policy, open_round(2), [4, 7]) == [(4, 0, 2), (7, 2, 3)]


def test_leaves_are_handed_out_once(policy):
    opened = open_round(0)
    hand_out(policy, opened, [4, 7])
    opened[0].assignments.done((0, 2))
    assert hand_out(policy, opened, [4, 7]) == []


def test_the_leaves_of_a_worker_that_leaves_wait(policy):
    opened = open_round(0)
    hand_out(policy, opened, [4, 7])
    opened[0].assignments.forget(4)
    assert hand_out(policy, opened, [7]) == []
    assert hand_out(policy, open_round(1), [7]) == [(7, 2, 5)]


def test_a_worker_without_leaves_holds_nothing(policy):
    hand_out(policy, open_round(0), [1, 2, 3, 4, 5, 6, 7])
    assert len(policy.holders) == 5
