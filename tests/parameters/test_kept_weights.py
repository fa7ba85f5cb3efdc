"""The conductor keeps the weights of the best epoch in every shard, and ends training early, wherever it began."""

import math
from dataclasses import replace

import numpy as np
import pytest

from raydient.server.parameters.actions import Assign, Boundary, EpochEnd, PlanInForce
from raydient.server.parameters.conductor import Conductor
from raydient.server.parameters.epoch_watch import EARLY_STOPPING, KEEP, EpochWatch
from raydient.server.parameters.health import LayerSums
from raydient.server.parameters.monitor import Monitor
from raydient.server.parameters.position import Position
from raydient.server.parameters.requests import Done, Keep, Update
from raydient.steps.ending import Ending
from raydient.steps.layout import Layout
from raydient.steps.schedule import RoundKind, Schedule
from raydient.steps.watched import Watched

from .conftest import make_rule

# Each epoch is one step and its evaluation, of one leaf each.
SCHEDULE = Schedule(train_rows=4, test_rows=2, epochs=9, batch_size=4, microbatches=1)
RULE = make_rule("sgd", {"learning_rate": 0.1})
SHARDS = 3
LOSSES = (5.0, 3.0, 4.0, 2.0, 2.0, 3.0, 1.0, 0.5, 0.25)
"""Losses of the held-out part after each epoch: with patience 2 the fourth of six is the best."""


class Job:
    """A conductor with shards whose weights are the number of updates.

    Attributes:
        best: the weights that each shard keeps.
        epochs: the numbers of the epochs that ended, from 1.
        boundary: the last one.
    """

    def __init__(self, *, patience=2, position=None, best=None, schedule=SCHEDULE, limit=math.inf):
        watch = EpochWatch(
            lambda sums: {"loss": sums[1] / sums[0]},
            {name: Monitor("test_loss", larger=False) for name in (EARLY_STOPPING, KEEP)},
            patience,
        )
        layers = LayerSums(Layout.of([("a.kernel", (3,))]), [("a", 0)])
        position = position or Position(0, 0, np.zeros(2))
        self.conductor = Conductor(schedule, position, RULE, layers, shards=SHARDS, watch=watch, limit_seconds=limit)
        self.weights, self.best = [position.step] * SHARDS, list(best or [None] * SHARDS)
        self.epochs, self.boundary, self.pending = [], None, None
        self.conductor.attached(0)
        self.take(self.conductor.plan(1, [0], [1.0]))

    def take(self, actions):
        for action in actions:
            match action:
                case Boundary():
                    self.boundary = action
                case EpochEnd(epoch=epoch):
                    self.epochs.append(epoch + 1)
                case Assign() | PlanInForce():
                    pass
                case _:
                    self.pending = action

    def push(self):
        """Push the only leaf of the open round."""
        round_ = self.conductor.current
        loss = LOSSES[round_.epoch] if round_.kind is RoundKind.EVALUATE else 1.0
        refusal, actions = self.conductor.push(
            round_.number, (0, 1), None, np.array([loss * (round_.stop - round_.start)])
        )
        assert not refusal
        self.take(actions)

    def answer(self, shards=range(SHARDS)):
        """Have shards carry out the pending request."""
        request = self.pending
        for shard in shards:
            if isinstance(request, Update):
                self.weights[shard] += 1
            else:
                assert isinstance(request, Keep)
                self.best[shard] = self.weights[shard]
            self.take(self.conductor.answered(shard, Done(np.ones(1))))

    def run(self, rounds=100):
        for _ in range(rounds):
            if self.conductor.current is None:
                return
            self.pending = None
            self.push()
            if self.pending is not None:
                self.answer()


def test_training_ends_early_and_every_shard_keeps_the_best_weights():
    job = Job()
    job.run()
    assert job.epochs == [1, 2, 3, 4, 5, 6]
    assert job.boundary == Boundary(True, Ending.STOPPED_EARLY)
    assert (job.weights, job.best) == ([6] * SHARDS, [4] * SHARDS)
    assert job.conductor.position.watched == {EARLY_STOPPING: Watched(2.0, 4, 2), KEEP: Watched(2.0, 4, 2)}


def test_an_epoch_ends_when_all_shards_have_kept_its_weights():
    job = Job()
    job.run(1)
    job.push()
    assert isinstance(job.pending, Keep)
    job.answer(range(SHARDS - 1))
    for actions in (job.conductor.snapshot(), job.conductor.detached(0), job.conductor.pause(at_once=True)):
        job.take(actions)
    assert job.epochs == []
    assert job.boundary is None, "the shards are not at one point"
    job.answer([SHARDS - 1])
    assert job.epochs == [1]
    assert job.boundary == Boundary(True, None)
    assert job.conductor.position.round == 2


@pytest.mark.parametrize("rounds", range(1, 13))
def test_a_job_that_goes_on_from_a_snapshot_ends_alike(rounds):
    first = Job()
    first.run(rounds)
    at = first.conductor.position
    position = Position(at.round, at.step, at.epoch_sums.copy(), watched=dict(at.watched))
    job = Job(position=position, best=first.best)
    job.run()
    assert job.boundary == Boundary(True, Ending.STOPPED_EARLY)
    assert (job.conductor.position.round, job.weights, job.best) == (12, [6] * SHARDS, [4] * SHARDS)
    assert job.epochs == [epoch for epoch in range(1, 7) if 2 * epoch > rounds]


def test_without_a_reason_to_stop_the_schedule_ends_training():
    job = Job(patience=3)
    job.run()
    assert job.boundary == Boundary(True, Ending.COMPLETE)
    assert (job.weights, job.best) == ([9] * SHARDS, [9] * SHARDS)


def test_the_last_of_the_steps_is_evaluated():
    schedule = replace(SCHEDULE, train_rows=8, epochs=2, max_steps=3)
    job = Job(patience=9, schedule=schedule)
    job.run()
    assert job.boundary == Boundary(True, Ending.MAX_STEPS)
    assert (job.epochs, job.weights, job.conductor.position.round) == ([1, 2], [3] * SHARDS, 5)


def test_the_end_of_the_time_is_that_of_a_step():
    job = Job(patience=9, limit=60.0)
    job.run(4)
    job.take(job.conductor.spend(59.0))
    job.push()
    job.take(job.conductor.spend(1.0))
    assert job.boundary is None, "the step is not complete"
    job.answer()
    assert job.boundary == Boundary(True, Ending.MAX_MINUTES)
    assert (job.weights, job.best, job.epochs) == ([3] * SHARDS, [2] * SHARDS, [1, 2])
    assert job.conductor.spend(1.0) == []
    again = Job(limit=60.0, position=job.conductor.position)
    assert again.boundary == Boundary(True, Ending.MAX_MINUTES)
    assert again.weights == [3] * SHARDS
