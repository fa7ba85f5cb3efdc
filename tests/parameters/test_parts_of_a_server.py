"""A parameter server that leaves its part in a generation and gets another one, in a thread, over real sockets."""

import weakref

import pytest

from raydient.server.parameters.shell import ParameterServerShell
from raydient.wire import control
from raydient.wire.channel import attach
from raydient.wire.endpoint import Transport, dial

from .conftest import GENERATION, SECRET


def test_a_server_that_leaves_its_part_comes_back_without_its_workers(coordinator, tree_job, transport):
    channel = coordinator.attach(0, transport)
    coordinator.plan(0)
    coordinator.compute(channel, channel.wait())
    before = coordinator.data_plane
    coordinator.tell(control.Leave())

    hello = coordinator.serve(generation=GENERATION + 1)

    assert (hello.left, hello.data_plane) == (GENERATION, before)
    with pytest.raises(ConnectionError):
        coordinator.work(channel)
    again = coordinator.attach(0, transport, GENERATION + 1)
    coordinator.plan(0)
    coordinator.assert_completes(again)


def test_orders_to_the_part_before_have_no_effect(coordinator, tree_job):
    coordinator.tell(control.Leave())
    for order in (control.Plan(1, [5], [1.0]), control.Pause(), control.Dismiss(0), control.Leave()):
        coordinator.tell(order)
    coordinator.serve(generation=GENERATION + 1)
    channel = coordinator.attach(0, Transport.TCP, GENERATION + 1)
    coordinator.plan(0)
    coordinator.assert_completes(channel)


def test_a_worker_of_the_part_before_is_refused(coordinator, tree_job, transport):
    coordinator.tell(control.Leave())
    coordinator.serve(generation=GENERATION + 1)
    with pytest.raises(ConnectionError):
        attach([dial(coordinator.data_plane, SECRET, transport)], 0, GENERATION)
    assert coordinator.expect(control.Refused).message.counts["peer"] == 1


def test_the_weights_that_begin_a_part_do_not_stay_in_memory(coordinator, tree_job, monkeypatch):
    received = []
    wait = ParameterServerShell._wait_for_part

    def noting(shell, **options):
        serve, arrays = wait(shell, **options)
        received.extend(map(weakref.ref, arrays.values()))
        return serve, arrays

    monkeypatch.setattr(ParameterServerShell, "_wait_for_part", noting)
    coordinator.tell(control.Leave())
    coordinator.serve(generation=GENERATION + 1)
    channel = coordinator.attach(0, Transport.TCP, GENERATION + 1)
    coordinator.plan(0)
    coordinator.assert_completes(channel)

    assert received
    assert all(array() is None for array in received)
