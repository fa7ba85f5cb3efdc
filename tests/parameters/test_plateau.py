"""The rate falls on a plateau as in Keras, in every shard at the same step, wherever the job began."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from raydient.server.parameters.actions import EpochEnd
from raydient.server.parameters.conductor import Conductor
from raydient.server.parameters.epoch_watch import EpochWatch
from raydient.server.parameters.health import LayerSums
from raydient.server.parameters.plateau import SCHEDULE, rate_factor
from raydient.server.parameters.position import Position
from raydient.server.parameters.requests import Done, Request, SetRate
from raydient.server.parameters.rule import build_rule
from raydient.spec.training import Training
from raydient.steps.layout import Layout
from raydient.steps.schedule import RoundKind, Schedule
from raydient.steps.watched import Watched

FIGURES = json.loads((Path(__file__).parent / "figures" / "schedules.json").read_text())
BASE, LOSSES = FIGURES["base"], FIGURES["losses"]
NETWORK = {"layers": [{"dense": {"units": 1}}], "loss": "mean_squared_error"}
# Each epoch is one step and its evaluation, of one leaf each.
ROUNDS = Schedule(train_rows=4, test_rows=2, epochs=len(LOSSES), batch_size=4, microbatches=1)
SHARDS = 3


def training(plateau, **fields):
    return Training.model_validate({
        "optimizer": {"sgd": {"learning_rate": BASE}}, "schedule": {"plateau": plateau}, **fields,
    })  # fmt: skip


def watch_of(job):
    return EpochWatch.of(job, NETWORK, {"input": [4]}, ROUNDS)


def rates(job, losses):
    """Return the rate of each epoch, by the losses of the held-out part before."""
    watch, watched, seen = watch_of(job), {}, []
    for epoch, loss in enumerate(losses, 1):
        seen.append(BASE * watch.rate_factor(watched))
        watched = watch.after(watched, epoch, (4.0, 9.0, 9.0), (2.0, 2 * loss, 9.0))
    return seen


@pytest.mark.parametrize("case", FIGURES["plateaus"], ids=lambda case: json.dumps(case["plateau"]))
def test_the_rate_falls_as_in_keras(case):
    assert rates(training(case["plateau"]), LOSSES) == pytest.approx(case["rates"], rel=2e-6)


def test_a_value_that_is_not_finite_is_no_improvement():
    nan = float("nan")
    seen = rates(training({"patience": 2}), [nan, nan, 1.0, nan, 2.0, 0.5])
    assert seen == pytest.approx([BASE, BASE, BASE / 10, BASE / 10, BASE / 10, BASE / 100])


@pytest.mark.parametrize(("steps", "first"), [(1, 2), (2, 3), (3, 4)])
def test_an_epoch_that_ends_in_the_warm_up_does_not_count(steps, first):
    watch = watch_of(training({"patience": 1}, warm_up={"steps": steps}))
    watched, counted = {}, []
    for epoch in range(1, 6):
        watched = watch.after(watched, epoch, (), (2.0, 1.0, 9.0))
        if watched[SCHEDULE].best is not None:
            counted.append(epoch)
    assert counted[0] == first


class Job:
    """A conductor whose shards note the rate of each update."""

    def __init__(self, position=None):
        self.training = training({"patience": 2, "factor": 0.5, "cooldown": 1})
        position = position or Position(0, 0, np.zeros(3))
        self.rules = [build_rule(self.training, ROUNDS, position.watched) for _ in range(SHARDS + 1)]
        layers = LayerSums(Layout.of([("a.kernel", (3,))]), [("a", 0)])
        watch = watch_of(self.training)
        self.conductor = Conductor(ROUNDS, position, self.rules[-1], layers, shards=SHARDS, watch=watch)
        self.rates, self.reported, self.lowered = [[] for _ in range(SHARDS)], [], []
        self.conductor.attached(0)
        self.conductor.plan(1, [0], [1.0])

    def run(self, rounds=100):
        for _ in range(rounds):
            round_ = self.conductor.current
            if round_ is None:
                return
            loss = LOSSES[round_.epoch] if round_.kind is RoundKind.EVALUATE else 1.0
            sums = np.array([loss, 1.0]) * (round_.stop - round_.start)
            _, actions = self.conductor.push(round_.number, (0, 1), None, sums)
            while actions and isinstance(actions[0], Request):
                (request,) = actions
                for shard in range(SHARDS):
                    self.carry_out(shard, request)
                    actions = self.conductor.answered(shard, Done(np.ones(1)))
            self.lowered += [a.reduced_rate for a in actions if isinstance(a, EpochEnd) and a.reduced_rate]
            if round_.kind is RoundKind.TRAIN:
                self.reported.append(self.conductor.learning_rate)

    def carry_out(self, shard, request):
        rate = self.rules[shard].learning_rate
        if isinstance(request, SetRate):
            rate.factor = request.factor
        else:
            self.rates[shard].append(rate(request.round.step))


def test_every_shard_has_the_rate_of_the_conductor_at_every_step():
    job = Job()
    job.run()
    expected = rates(job.training, LOSSES)
    assert len(set(expected)) > 3
    assert job.reported == expected
    assert job.rates == [expected] * SHARDS
    changes = [after for before, after in pairwise(expected) if after != before]
    assert job.lowered[: len(changes)] == changes, "the end of an epoch has the rate from then on"


@pytest.mark.parametrize("rounds", range(1, 2 * len(LOSSES), 3))
def test_a_job_that_goes_on_from_a_snapshot_has_the_same_rates(rounds):
    first = Job()
    first.run(rounds)
    at = first.conductor.position
    watched = {name: Watched(**json.loads(json.dumps(state_of(state)))) for name, state in at.watched.items()}
    job = Job(Position(at.round, at.step, at.epoch_sums.copy(), watched=watched))
    if rounds % 2:  # the evaluation comes next, and the epoch's end reports the rate of its last update
        assert job.conductor.learning_rate == first.reported[-1]
    job.run()
    assert first.reported + job.reported == rates(job.training, LOSSES)


def state_of(state):
    return {name: getattr(state, name) for name in ("best", "epoch", "wait", "cooldown", "reductions")}


def test_other_schedules_have_no_factor():
    assert rate_factor(Training(), {}) == 1
    assert EpochWatch.of(Training(), {}, {}, ROUNDS).rate_factor({}) == 1
