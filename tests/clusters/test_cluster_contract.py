"""The contract of all kinds of clusters, about the processes that they start."""

import os

import pytest

from raydient.server.clusters.opening import reopen_cluster
from raydient.wire import control, launch
from raydient.wire.control import Role
from raydient.wire.endpoint import Endpoint
from raydient.wire.handshake import new_secret
from raydient.wire.hub import CLOSED
from tests.waiting import eventually

from .listener import Listener


@pytest.fixture
def coordinator(cluster):
    made = Listener(cluster)
    yield made
    made.close()


def ended(process):
    """Wait for the end of a process and return its description."""
    return eventually(process.ended)


@pytest.mark.parametrize("role", [Role.WORKER, Role.PARAMETER_SERVER])
def test_a_started_process_introduces_itself(cluster, coordinator, tmp_path, role):
    process = cluster.start(role, coordinator.launch_of(7), tmp_path / "log")
    hello = coordinator.next()
    assert (hello.role, hello.member, hello.left) == (role, 7, None)
    assert hello.process != os.getpid()
    assert (hello.data_plane is not None) == (role is Role.PARAMETER_SERVER)
    assert process.ended() is None
    process.kill()
    assert process.ended() is not None
    assert coordinator.next() is CLOSED
    process.kill()


def test_a_killed_process_has_ended(cluster, coordinator, tmp_path):
    process = cluster.start(Role.WORKER, coordinator.launch_of(1), tmp_path / "log")
    pid = coordinator.next().process
    os.kill(pid, 9)
    assert ended(process)
    assert coordinator.next() is CLOSED


def test_a_process_without_its_coordinator_ends(cluster, coordinator, tmp_path):
    process = cluster.start(Role.WORKER, coordinator.launch_of(1), tmp_path / "log")
    assert isinstance(coordinator.next(), control.Hello)
    coordinator.close()
    assert ended(process)


def test_a_process_that_cannot_start_has_ended(cluster, tmp_path):
    unreachable = launch.Launch("job", 1, Endpoint("@raydient-absent", cluster.host, 9), new_secret().hex())
    assert ended(cluster.start(Role.WORKER, launch.to_json(unreachable), tmp_path / "log"))


def test_a_described_cluster_can_be_reopened(cluster):
    assert reopen_cluster(cluster.describe()).slots == cluster.slots == 4
