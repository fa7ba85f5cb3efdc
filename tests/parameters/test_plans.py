"""Workers of a plan that get work, and the time at which a plan is in force."""

import pytest

from raydient.server.parameters.actions import Assign, Boundary, PlanInForce

from .conftest import dense


@pytest.fixture
def server(tree_job, executor):
    """A parameter server with workers 0 and 1 attached and no plan."""
    server, _ = tree_job.server(executor)
    for worker in (0, 1):
        server.attached(worker)
    return server


def complete(server, job, nodes):
    """Push these nodes of the open round; return the actions."""
    actions = []
    round_ = server.current.number
    for node in nodes:
        refusal, more = server.push(round_, node, dense(job.gradient(job.start, round_, node)), job.sums(round_, node))
        assert refusal == ""
        actions += more
    return actions


def test_a_plan_without_an_open_round_is_in_force_at_once(server):
    assert server.plan(1, [0, 1], [1.0, 1.0]) == [Assign(0, 0, 0, 4), Assign(1, 0, 4, 7), PlanInForce(1)]


def test_a_worker_that_has_detached_is_left_out(server):
    server.detached(1)
    assert server.plan(1, [0, 1], [1.0, 1.0]) == [Assign(0, 0, 0, 7), PlanInForce(1)]


def test_a_plan_is_in_force_when_the_round_that_was_open_has_ended(server, tree_job):
    server.plan(1, [0, 1], [1.0, 1.0])
    assert server.plan(2, [0], [1.0]) == []
    assert complete(server, tree_job, [(0, 4), (4, 6)]) == []
    assert complete(server, tree_job, [(6, 7)]) == [Assign(0, 1, 0, 7), PlanInForce(2)]


def test_the_last_of_several_plans_is_confirmed(server, tree_job):
    server.plan(1, [0], [1.0])
    assert server.plan(2, [0, 1], [1.0, 1.0]) == server.plan(3, [1], [1.0]) == []
    assert complete(server, tree_job, [(0, 4), (4, 6), (6, 7)]) == [Assign(1, 1, 0, 7), PlanInForce(3)]


def test_a_pause_puts_a_plan_in_force(server):
    server.plan(1, [0], [1.0])
    assert server.plan(2, [], []) == []
    assert server.pause() == [Boundary(True), PlanInForce(2)]
