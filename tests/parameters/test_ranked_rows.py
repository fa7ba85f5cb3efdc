"""Scores of rows at the parameter server: ranked once an epoch over all rows, for any division into nodes."""

import numpy as np
import pytest

from raydient.server.parameters.actions import Assign, EpochEnd
from raydient.server.parameters.position import Position
from raydient.steps.schedule import RoundKind
from raydient.steps.scores import SCORE, rank
from raydient.steps.tree import maximal_subtrees

from .conftest import dense

RANKS, SUMS = (1, 5), 10
"""Places of two metrics that rank, behind the loss and before a sum."""


def scores_of(round_, node, schedule):
    """Return two columns for the rows of a node, the same for any division of a round into nodes."""
    opened, parts = schedule.round(round_), []
    for leaf in range(*node):
        start, stop = opened.leaf(leaf)
        chance = np.random.default_rng((round_, leaf))
        part = np.zeros((stop - start, 2), SCORE)
        part["score"], part["positive"] = chance.integers(0, 5, part.shape), chance.random(part.shape) < 0.4
        parts.append(part)
    return np.concatenate(parts)


@pytest.fixture
def make_server(tree_job, executor):
    """A parameter server of the tree job that ranks rows; at the beginning, or at a position."""

    def make(position=None):
        return tree_job.server(executor, position or Position(0, 0, np.zeros(1 + SUMS)), ranks=RANKS)

    return make


def run(server, arrays, job, workers, rounds=99):
    """Push what `workers` workers compute, the last worker first, and return the ends of epochs."""
    for worker in range(workers):
        server.attached(worker)
    ends, actions = [], server.plan(1, range(workers), [1.0] * workers)
    while rounds and any(isinstance(action, Assign) for action in actions):
        rounds, assigned, actions = rounds - 1, [a for a in actions if isinstance(a, Assign)], []
        for assign in reversed(assigned):
            opened = job.schedule.round(assign.round)
            for node in maximal_subtrees(assign.first, assign.last, opened.leaves):
                trains = opened.kind is RoundKind.TRAIN
                gradient = dense(job.gradient(arrays[0], opened.number, node)) if trains else None
                scores = scores_of(opened.number, node, job.schedule)
                refusal, more = server.push(opened.number, node, gradient, np.ones(SUMS), scores)
                assert not refusal
                actions += more
        ends += [action for action in actions if isinstance(action, EpochEnd)]
    return ends


def expected_ranks(job, epoch, kind):
    """Compute the ranks from all rows of a part at once."""
    rounds = [job.schedule.round(number) for number in range(job.schedule.rounds)]
    rows = [scores_of(r.number, (0, r.leaves), job.schedule) for r in rounds if (r.epoch, r.kind) == (epoch, kind)]
    return [rank(column) for column in np.concatenate(rows).T]


def assert_ranked(ends, job):
    for end in ends:
        for sums, kind in ((end.train, RoundKind.TRAIN), (end.test, RoundKind.EVALUATE)):
            assert [sums[2:6], sums[6:10]] == expected_ranks(job, end.epoch, kind)
            assert sums[0] == (17 if kind is RoundKind.TRAIN else 300)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_both_parts_of_each_epoch_are_ranked_in_their_places(make_server, tree_job, workers):
    server, arrays = make_server()
    ends = run(server, arrays, tree_job, workers)
    assert [end.epoch for end in ends] == [0, 1]
    assert_ranked(ends, tree_job)
    assert server.position.epoch_scores == []


def test_a_position_within_an_epoch_goes_on(make_server, tree_job):
    first, arrays = make_server()
    run(first, arrays, tree_job, 2, rounds=2)
    position = first.position
    assert (position.round, sum(map(len, position.epoch_scores))) == (2, 14)
    kept = Position(position.round, position.step, position.epoch_sums.copy(), list(position.epoch_scores))
    second, arrays = make_server(kept)
    assert_ranked(run(second, arrays, tree_job, 3), tree_job)


def test_an_epoch_whose_sums_were_given_up_at_its_evaluation_has_no_training_part(make_server, tree_job):
    server, arrays = make_server(Position(3, 3, np.zeros(1 + SUMS)))
    first, second = run(server, arrays, tree_job, 1)
    assert first.train == ()
    assert len(first.test) == 1 + SUMS
    assert_ranked([second], tree_job)
