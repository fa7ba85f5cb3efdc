"""Rollback to the end of the last epoch: weights and state, the learning rate, and snapshots."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from raydient.server.parameters.rollback import ON_NON_FINITE, rate_factor
from raydient.spec.training import Training
from raydient.steps.schedule import RoundKind
from raydient.steps.tree import maximal_subtrees
from raydient.steps.watched import Watched
from raydient.wire import control
from raydient.wire.endpoint import Transport

from .conftest import SECONDS, make_rule

FACTOR, MOST = 0.1, 3


class Job:
    """A parameter server of the job of `conftest`, which rolls back in `bad` rounds.

    Attributes:
        weights: before each round, and at the end; weights and state.
    """

    def __init__(self, coordinator, bad, average=None, **parts):
        self.coordinator, self.job, self.bad, self.seen = coordinator, coordinator.job, set(bad), []
        rollback = {"learning_rate_factor": FACTOR, "max_rollbacks": MOST}
        kind, options = self.job.optimizer
        further = {"on_non_finite": {"rollback": rollback}, "average": average}
        training = Training.model_validate({"optimizer": {kind: options}, **further})
        coordinator.serve(training=training.canonical(), **parts)
        self._run(make_rule(kind, options))

    def _run(self, rule):
        job = self.job
        arrays = [job.start.copy(), *(np.zeros_like(job.start) for _ in rule.optimizer.state)]
        mark, self.weights, rollbacks = [array.copy() for array in arrays], [], 0
        for number in range(job.schedule.rounds):
            self.weights.append([array.copy() for array in arrays])
            round_ = job.schedule.round(number)
            if number in self.bad:
                arrays, rollbacks = [array.copy() for array in mark], rollbacks + 1
                rule.learning_rate.factor = float(np.float64(FACTOR) ** rollbacks)
            elif round_.kind is RoundKind.TRAIN:
                weights, *state = arrays
                gradient = job.gradient(weights, number, (0, round_.leaves))
                rule.update(round_.step, weights, gradient, state, [np.empty_like(weights) for _ in range(2)])
            else:
                mark = [array.copy() for array in arrays]
        self.weights.append(arrays)

    def work(self, channel, until=None):
        """Compute rounds before `until`, and assert that each sees its weights."""
        last = self.job.schedule.rounds if until is None else until
        while (assignment := channel.wait()) is not None and assignment.round < last:
            round_ = self.job.schedule.round(assignment.round)
            if not self.job.schedule.is_epoch_end(round_.number):
                np.testing.assert_array_equal(channel.weights, self.weights[round_.number][0])
            self.seen.append(round_.number)
            for node in maximal_subtrees(assignment.first, assignment.last, round_.leaves):
                self._push(channel, round_, node)

    def _push(self, channel, round_, node):
        trains, slot, sums = round_.kind is RoundKind.TRAIN, node[0], self.job.sums(round_.number, node)
        bad = round_.number in self.bad
        if trains:
            gradient = self.job.gradient(channel.weights, round_.number, node)
            channel.slot(slot).vector[:] = gradient
            channel.slot(slot).vector[4 if bad else 0] = np.nan if bad else gradient[0]
        elif bad:
            sums = sums * np.inf
        channel.push(round_.number, node, slot if trains else None, sums, SECONDS)

    def complete(self, transport):
        channel = self.coordinator.attach(1, transport)
        self.coordinator.plan(1)
        with ThreadPoolExecutor(1) as pool:
            working = self.coordinator.working(pool, self.work, channel)
            final = self.coordinator.expect(control.Snapshot)
            working.result(20)
        return final

    def assert_at(self, arrays, number):
        names = ("weights", "first_moment", "second_moment")
        for name, expected in zip(names, self.weights[number], strict=True):
            np.testing.assert_array_equal(arrays[name], expected, name)

    @property
    def reported(self):
        return [m.message for m in self.coordinator.heard if isinstance(m.message, control.NonFinite)]


@pytest.fixture
def start(start_server):
    return lambda bad, **parts: Job(start_server(), bad, **parts)


@pytest.mark.parametrize("average", [None, {"decay": 0.5}])
@pytest.mark.parametrize("bad", [[0, 1], [2], [3], [5, 6], [4, 6, 7]])
def test_training_goes_on_from_the_end_of_the_last_epoch(start, transport, bad, average):
    server = start(bad, average=average)
    final, arrays = server.complete(transport)
    assert server.seen == list(range(server.job.schedule.rounds))
    server.assert_at(arrays, server.job.schedule.rounds)
    assert final.watched[ON_NON_FINITE] == Watched(reductions=len(bad))
    assert [(m.rolls_back, m.rollbacks, m.skipped) for m in server.reported] == [
        (True, count + 1, 0) for count in range(len(bad))
    ]
    assert final.step == server.job.schedule.steps


def test_an_epoch_has_the_rows_since_a_rollback(start):
    server = start([1, 7])
    server.complete(Transport.SHARED_MEMORY)
    done = [m.message for m in server.coordinator.heard if isinstance(m.message, control.EpochsDone)]
    epochs = [epoch for message in done for epoch in message.epochs]
    assert [(epoch.epoch, epoch.train[0], bool(epoch.test)) for epoch in epochs] == [(0, 3.0, True), (1, 17.0, False)]


@pytest.mark.parametrize("bad", [[0, 1, 2, 4], [0, 1, 2, 3]])
def test_after_the_last_rollback_training_ends(start, bad):
    server = start(bad)
    channel = server.coordinator.attach(1, Transport.SHARED_MEMORY)
    server.coordinator.plan(1)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(server.work, channel)
        for count in range(1, MOST + 1):
            message = server.coordinator.expect(control.NonFinite).message
            assert (message.rolls_back, message.rollbacks) == (True, count)
        end = server.coordinator.expect(control.NonFinite).message
        assert (end.rolls_back, end.rollbacks, end.skipped) == (False, MOST, 0)
        server.coordinator.close()
        working.exception(20)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 7])
def test_a_job_that_goes_on_from_a_snapshot_has_the_same_weights(start, number):
    bad = [1, 5, 7]
    first = start(bad)
    channel = first.coordinator.attach(1, Transport.TCP)
    first.coordinator.plan(1)
    first.work(channel, until=number)
    first.coordinator.tell(control.Dismiss(1))
    first.coordinator.tell(control.TakeSnapshot())
    snapshot, arrays = first.coordinator.expect(control.Snapshot)
    assert (snapshot.round, snapshot.final) == (number, False)
    first.assert_at(arrays, number)
    at = {name: getattr(snapshot, name) for name in ("round", "step", "epoch_sums", "watched")}
    second = start(bad, arrays=arrays, **at)
    _, arrays = second.complete(Transport.TCP)
    second.assert_at(arrays, second.job.schedule.rounds)
    assert [m.rollbacks for m in second.reported] == [n + 1 for n, round_ in enumerate(bad) if round_ >= number]


def test_the_rate_has_a_factor_for_each_rollback_besides_that_of_the_plateau():
    rollback = {"on_non_finite": {"rollback": {"learning_rate_factor": 0.25}}}
    plain = Training.model_validate(rollback)
    assert [rate_factor(plain, {ON_NON_FINITE: Watched(reductions=n)}) for n in range(3)] == [1.0, 0.25, 0.0625]
    both = Training.model_validate({**rollback, "schedule": {"plateau": {"factor": 0.5}}})
    assert rate_factor(both, {ON_NON_FINITE: Watched(reductions=1), "schedule": Watched(reductions=2)}) == 0.0625
