"""Roster and coordinator of a run with several parameter servers."""

import pytest

from raydient.server.training.actions import Ask, Leave, Save, Serve, Start, Tell, Work
from raydient.server.training.reports import Finished, Notice, Outcome, Started
from raydient.server.training.roster import Roster
from raydient.wire import control
from raydient.wire.control import Role

from .coordinating import changes, plans, reports, saved, starts, status

SERVERS, WORKERS = (0, 1, 2), (3, 4)


@pytest.fixture
def coordinator(make_coordinator):
    return make_coordinator(servers=3)


def run(coordinator):
    """Bring a coordinator to the point where both workers are at work."""
    coordinator.begin()
    for member in (*SERVERS, *WORKERS):
        coordinator.hello(member)
    coordinator.attached(3)
    return coordinator.attached(4)


# ---- the roster


def test_places_count_by_role():
    roster = Roster(2, 1, servers=2)
    roles = [Role.PARAMETER_SERVER, Role.WORKER, Role.PARAMETER_SERVER, Role.WORKER]
    members = [roster.add(role, 0.0) for role in roles]
    assert [roster[member].place for member in members] == [0, 0, 1, 1]
    assert roster.serving == [0, 2]


def test_servers_are_listed_by_place_and_a_new_one_takes_the_place_that_is_free():
    roster = Roster(1, 1, servers=3)
    for _ in range(3):
        roster.add(Role.PARAMETER_SERVER, 0.0)
    roster.remove(0)
    assert roster.serving == [1, 2]
    assert roster.add(Role.PARAMETER_SERVER, 1.0) == 3
    assert roster.serving == [3, 1, 2]


def test_all_servers_have_to_introduce_themselves():
    roster = Roster(1, 1, servers=2)
    for member in (0, 1):
        roster.add(Role.PARAMETER_SERVER, 0.0)
        assert not roster.has_servers
        roster[member].introduced = True
    assert roster.has_servers
    roster.remove(1)
    assert not roster.has_servers


# ---- the coordinator


def test_all_servers_start_before_the_workers(coordinator):
    assert [(a.role, a.member) for a in coordinator.begin()] == [
        *((Role.PARAMETER_SERVER, member) for member in SERVERS),
        *((Role.WORKER, member) for member in WORKERS),
    ]


def test_nothing_is_served_before_the_last_server_is_there(coordinator):
    coordinator.begin()
    assert [coordinator.hello(member) for member in (2, 4, 0)] == [[], [], []]
    assert coordinator.hello(1) == [Serve([0, 1, 2], 0), Work(4, place=1, workers=2, generation=0)]
    assert coordinator.hello(3) == [Work(3, place=0, workers=2, generation=0)]


def test_training_begins_with_the_last_worker(coordinator):
    actions = run(coordinator)
    assert reports(actions, Started) == [Started(0, 2)]
    assert [plan.workers for plan in plans(actions)] == [[3, 4]]


@pytest.mark.parametrize("lost", SERVERS)
def test_the_loss_of_any_server_costs_no_other_process(coordinator, lost):
    run(coordinator)
    coordinator.status(status(4))
    saved(coordinator, 4)
    actions = coordinator.lost(lost, "killed by SIGKILL")
    others = {*SERVERS} - {lost}
    assert {a.member for a in actions if isinstance(a, Leave)} == others
    assert [notice.reason for notice in reports(actions, Notice)] == ["PARAMETER_SERVER_LOST"]
    assert changes(actions) == [Start(Role.PARAMETER_SERVER, 5)]
    for member in (*others, *WORKERS):
        assert coordinator.returned(member, left=0) == []
    serve, *works = coordinator.hello(5)
    assert serve == Serve([5 if member == lost else member for member in SERVERS], 1)
    assert works == [Work(member, place, 2, 1, has_data=True) for place, member in enumerate(WORKERS)]


def test_a_server_that_has_lost_another_one_before_the_coordinator_notices_it_begins_the_generation(coordinator):
    run(coordinator)
    actions = coordinator.returned(0, left=0)
    assert {a.member for a in actions if isinstance(a, Leave)} == {1, 2}, "it has left already"
    assert changes(actions) == []
    assert changes(coordinator.lost(1, "killed by SIGKILL")) == [Start(Role.PARAMETER_SERVER, 5)]
    assert coordinator.hello(5) == []
    assert coordinator.returned(2, left=0) == [Serve([0, 5, 2], 1)]


def test_servers_that_lose_each_other_go_back_without_a_new_process(coordinator):
    run(coordinator)
    assert reports(coordinator.returned(0, left=0), Notice) == []
    assert coordinator.returned(1, left=0) == []
    text = "parameter server 0: its connection to another one ended"
    actions = coordinator.returned(2, left=0)
    assert actions == [Tell(Notice("PARAMETER_SERVER_LOST", text)), Serve([0, 1, 2], 1)]


def test_a_server_that_is_lost_before_all_are_served_is_replaced_alone(coordinator):
    coordinator.begin()
    coordinator.hello(0)
    assert changes(coordinator.lost(1, "killed by SIGKILL")) == [Start(Role.PARAMETER_SERVER, 5)]
    coordinator.hello(5)
    assert coordinator.hello(2) == [Serve([0, 5, 2], 0)]


def test_a_pause_ends_with_the_loss_of_a_connection_between_servers(coordinator):
    run(coordinator)
    coordinator.pause()
    (finished,) = reports(coordinator.returned(0, left=0), Finished)
    assert finished.outcome is Outcome.PAUSED


def test_survivors_change_nothing_while_the_final_snapshot_is_held(coordinator):
    run(coordinator)
    coordinator.snapshot(9, "", final=True)
    coordinator.save_failed(9, "disk full", final=True, complete=True)
    coordinator.lost(1, "killed by SIGKILL")
    assert coordinator.returned(0, left=0) == []


def test_a_lost_worker_costs_no_server(coordinator):
    run(coordinator)
    assert [(a.role, a.member) for a in starts(coordinator.lost(3, "killed"))] == [(Role.WORKER, 5)]


def test_the_end_stops_the_workers_once_the_snapshot_is_whole(coordinator):
    run(coordinator)
    assert coordinator.snapshot(9, "", final=True) == [Ask(control.Stop()), Save()]
    (finished,) = reports(saved(coordinator, 9, final=True, digest="abc"), Finished)
    assert finished.outcome is Outcome.SUCCEEDED
