"""Divergence and pauses: the actions that the conductor returns, and that no action follows them."""

from math import isnan

import numpy as np
import pytest

from raydient.server.parameters.actions import Assign, Boundary, Diverged, PlanInForce
from raydient.server.parameters.position import Position
from raydient.steps.ending import Ending
from raydient.steps.layout import Layout
from raydient.steps.schedule import RoundKind, Schedule

from .conftest import Server, dense, make_rule, make_updater


@pytest.fixture
def make_server(executor):
    """One step of two leaves an epoch, then one leaf of evaluation; two parameters of two values."""

    def make(kind="sgd", **options):
        choice = {"learning_rate": 1e-3, "momentum": 0.0, "nesterov": False} if kind == "sgd" else options
        rule, weights = make_rule(kind, choice), np.ones(4, np.float32)
        layout = Layout.of([("near.input", (2,)), ("near.loss", (2,))])
        state = [np.zeros(4, np.float32) for _ in rule.optimizer.state]
        updater = make_updater(weights, state, rule, 2, 1, executor)
        schedule = Schedule(train_rows=2, test_rows=1, epochs=2, batch_size=2, microbatches=2)
        server = Server(schedule, Position(0, 0, np.zeros(2)), layout, [("near", 0)], rule, updater)
        server.attached(0)
        assert server.plan(1, [0], [1.0]) == [Assign(0, 0, 0, 2), PlanInForce(1)]
        return server, weights

    return make


def push(server, gradients, losses=(1.0, 1.0)):
    """Push both leaves of the open training round and return the actions."""
    number = server.current.number
    result = []
    for leaf, (gradient, loss) in enumerate(zip(gradients, losses, strict=True)):
        refusal, actions = server.push(number, (leaf, leaf + 1), dense(gradient), np.array([loss]))
        assert refusal == ""
        result += actions
    return result


ONES = [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("gradients", "parameter"),
    [
        ([[np.nan, 1, 1, 1], ONES], "near.input"),
        ([ONES, [1, 1, np.inf, 1]], "near.loss"),
        ([[np.nan, np.nan, 1, 1], [1, 1, 1, -np.inf]], "near.loss"),
        ([[3e38, 1, 1, 1], [3e38, 1, 1, 1]], "near.input"),
    ],
    ids=["nan", "infinite", "both", "the sum overflows"],
)
def test_the_parameter_nearest_to_the_loss_with_a_gradient_that_is_not_finite_is_named(
    make_server, gradients, parameter
):
    server, _ = make_server()

    assert push(server, gradients) == [Diverged(RoundKind.TRAIN, 0, 1.0, parameter, False)]
    assert server.position.step == server.position.round == 0


def test_divergence_does_not_depend_on_the_division_of_the_work(make_server):
    """The worker has summed the leaves here; elsewhere the server does."""
    server, _ = make_server()

    refusal, actions = server.push(0, (0, 2), dense([np.inf, 2, 2, 2]), np.array([2.0]))

    assert (refusal, actions) == ("", [Diverged(RoundKind.TRAIN, 0, 1.0, "near.input", False)])


def test_a_loss_that_is_not_finite_diverges_with_finite_gradients(make_server):
    server, _ = make_server()

    (diverged,) = push(server, [ONES, [1, 5, 1, 1]], losses=(np.nan, 1.0))

    assert isnan(diverged.loss)
    assert (diverged.step, diverged.parameter, diverged.finite) == (0, "near.input", True)


def test_an_evaluation_whose_loss_is_not_finite_diverges(make_server):
    server, _ = make_server()
    assert push(server, [ONES, ONES]) == [Assign(0, 1, 0, 1)]

    assert server.push(1, (0, 1), None, np.array([np.inf])) == (
        "", [Diverged(RoundKind.EVALUATE, 1, np.inf, "", True)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "options"), [("sgd", {}), ("adam", {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.9, "epsilon": 1e-7})]
)
def test_a_huge_gradient_whose_square_overflows_goes_on(make_server, rule, options):
    server, weights = make_server(rule, **options)

    assert push(server, [[1e25, 1, 1, 1], ONES]) == [Assign(0, 1, 0, 1)]
    assert server.position.step == 1
    assert np.isfinite(weights).all()


def test_nothing_follows_divergence(make_server):
    """In particular no snapshot: the update may be half made."""
    server, _ = make_server()
    assert server.snapshot() == []
    push(server, [[np.nan] * 4, ONES])

    assert server.snapshot() == server.pause() == []
    assert server.plan(2, [0], [1.0]) == [PlanInForce(2)]
    assert server.detached(0) == []
    assert server.push(0, (0, 1), dense(np.ones(4)), np.ones(1)) == ("LATE", [])
    assert server.current is None


# ---- snapshots and the end


def test_a_snapshot_is_taken_between_rounds_and_once(make_server):
    server, _ = make_server()
    assert server.snapshot() == []
    assert server.snapshot() == []

    assert push(server, [ONES, ONES]) == [Boundary(False), Assign(0, 1, 0, 1)]


def test_a_final_snapshot_that_follows_another_is_not_given_early(make_server):
    server, _ = make_server()
    assert server.pause() == server.snapshot() == []

    assert push(server, [ONES, ONES]) == [Boundary(True)]
    assert server.pause() == []


def test_a_snapshot_does_not_wait_for_workers_that_are_gone(make_server):
    """All workers die while a round is open: the snapshot has the weights with which it began."""
    server, weights = make_server()
    began = weights.copy()
    assert server.pause() == []
    assert server.detached(0) == [Boundary(True)]
    assert server.plan(2, [], []) == [PlanInForce(2)]
    assert (server.current, server.position.round) == (None, 0)
    assert (weights == began).all()


def test_a_snapshot_at_once_drops_the_open_round(make_server):
    """A worker is stopped in the middle of the round."""
    server, weights = make_server()
    began = weights.copy()
    server.push(0, (0, 1), dense(np.ones(4)), np.array([1.0]))
    assert server.pause() == []
    assert server.pause(at_once=True) == [Boundary(True)]
    assert (server.current, server.position.round) == (None, 0)
    assert (weights == began).all()
    assert server.push(0, (1, 2), dense(np.ones(4)), np.array([1.0])) == ("LATE", [])


def test_a_round_without_workers_goes_on_after_a_snapshot(make_server):
    server, _ = make_server()
    assert server.plan(2, [], []) == []
    assert server.snapshot() == [Boundary(False)]
    assert push(server, [ONES, ONES]) == [PlanInForce(2)], "the plan names no worker"
    assert server.position.step == 1
    server.attached(1)
    assert server.plan(3, [1], [1.0]) == [Assign(1, 1, 0, 1), PlanInForce(3)]


def test_a_job_that_is_complete_when_it_is_resumed_ends_at_once(executor, tree_job):
    position = Position(tree_job.schedule.rounds, tree_job.schedule.steps, np.zeros(3))
    server, _ = tree_job.server(executor, position, tree_job.reference[-1])

    server.attached(0)
    assert server.plan(1, [0], [1.0]) == [Boundary(True, Ending.COMPLETE), PlanInForce(1)]
    assert server.plan(2, [0], [1.0]) == [PlanInForce(2)]


def test_there_is_no_loss_before_the_first_step(make_server):
    server, _ = make_server()
    assert server.last_loss is None

    push(server, [ONES, ONES], losses=(3.0, 1.0))

    assert server.last_loss == 2.0
