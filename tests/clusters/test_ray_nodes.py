"""A Ray of several nodes: room that comes and goes, placement, and nodes with other versions."""

import os
import subprocess
import sys

import pytest

from raydient.spec.job import Placement
from raydient.wire.control import Role
from tests.waiting import eventually

from .listener import SECONDS, Listener

pytestmark = pytest.mark.ray

SPREAD = Placement.model_validate({"strategy": "spread"})


@pytest.fixture
def coordinator(ray_nodes):
    made = Listener(ray_nodes.cluster)
    yield made
    made.close()
    ray_nodes.cluster.release()


def groups(name):
    """States of the placement groups whose names begin with `name`."""
    from ray.util.placement_group import placement_group_table

    return [group["state"] for group in placement_group_table().values() if group["name"].startswith(name)]


def test_slots_follow_the_nodes_that_join_and_die(ray_nodes):
    eventually(lambda: ray_nodes.cluster.slots == 2)
    second = ray_nodes.add(cpus=3)
    eventually(lambda: ray_nodes.cluster.slots == 5)
    ray_nodes.remove(second)
    eventually(lambda: ray_nodes.cluster.slots == 2)


def test_a_process_without_room_waits(ray_nodes, coordinator, tmp_path):
    cluster = ray_nodes.cluster
    cluster.reserve("waiting", 2, Placement())
    placed = [cluster.start(Role.WORKER, coordinator.launch_of(n), tmp_path / "log") for n in range(2)]
    assert sorted(coordinator.hello() for _ in placed) == [0, 1]
    more, hopeless = (cluster.start(Role.WORKER, coordinator.launch_of(n), tmp_path / "log") for n in (2, 3))
    assert [p.waiting() for p in (*placed, more, hopeless)] == [False, False, True, True]
    assert [p.ended() for p in (*placed, more)] == [None] * 3
    hopeless.kill()
    assert hopeless.ended() is not None
    assert not hopeless.waiting()
    second = ray_nodes.add()
    assert coordinator.hello() == 2
    assert not more.waiting()
    assert more.node == second
    for process in (*placed, more):
        process.kill()


def test_workers_beyond_the_group_spread_too(ray_nodes, coordinator, tmp_path):
    cluster, second = ray_nodes.cluster, ray_nodes.add()
    cluster.reserve("beyond", 1, SPREAD)
    processes = []
    for number in range(4):
        processes.append(cluster.start(Role.WORKER, coordinator.launch_of(number), tmp_path / "log"))
        assert coordinator.hello() == number
    assert sorted(p.node for p in processes) == sorted([ray_nodes.first, second] * 2)
    assert processes[0].node != processes[1].node
    for process in processes:
        process.kill()


def test_a_parameter_server_waits_for_a_node_that_it_may_run_on(ray_nodes, coordinator, tmp_path):
    cluster = ray_nodes.cluster
    cluster.reserve("choosy", 1, Placement(parameter_server={"disk": "fast"}))
    server, worker = (
        cluster.start(role, coordinator.launch_of(n), tmp_path / "log")
        for n, role in enumerate((Role.PARAMETER_SERVER, Role.WORKER))
    )
    assert (server.waiting(), worker.waiting()) == (True, True), "all of a group or nothing"
    second = ray_nodes.add(labels={"disk": "fast"})
    assert {coordinator.hello(), coordinator.hello()} == {0, 1}
    assert server.node == second
    for process in (server, worker):
        process.kill()


def test_release_removes_the_group(ray_nodes):
    ray_nodes.cluster.reserve("given-back", 2, Placement())
    assert len(groups("given-back-")) == 1
    ray_nodes.cluster.release()
    eventually(lambda: groups("given-back-") == ["REMOVED"])


def test_a_group_is_removed_when_its_coordinator_is_killed(ray_nodes):
    import ray

    # Pickled by value: the processes of Ray cannot import this module.
    class Coordinator:
        def reserve(self, description):
            from raydient.server.clusters.opening import reopen_cluster
            from raydient.spec.job import Placement

            self.cluster = reopen_cluster(description)
            self.cluster.reserve("orphan", 2, Placement())
            return os.getpid()

    options = {"num_cpus": 0, "lifetime": "detached", "name": "orphan"}
    made = ray.remote(Coordinator).options(**options).remote()
    pid = ray.get(made.reserve.remote(ray_nodes.cluster.describe()), timeout=SECONDS)
    eventually(lambda: groups("orphan-") == ["CREATED"])
    os.kill(pid, 9)
    eventually(lambda: groups("orphan-") == ["REMOVED"])


@pytest.fixture
def liar(tmp_path):
    """The environment of a node on which another NumPy seems to be installed."""
    metadata = tmp_path / "lies" / "numpy-1.2.3.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.2.3\n")
    return {"PYTHONPATH": os.pathsep.join([str(metadata.parent.parent), *sys.path])}


def test_a_node_with_other_versions_is_not_used(ray_nodes, coordinator, liar, tmp_path, caplog):
    import numpy as np

    node = ray_nodes.add(environment=liar)
    cluster, why = ray_nodes.cluster, f"has numpy 1.2.3, this service has numpy {np.__version__}"
    assert node
    eventually(lambda: f"({node[:8]}) {why}; no process is placed there" in caplog.text)
    assert cluster.slots == 2
    processes = [cluster.start(Role.WORKER, coordinator.launch_of(n), tmp_path / "log") for n in range(3)]
    assert sorted([coordinator.hello(), coordinator.hello()]) == [0, 1]
    assert processes[2].waiting()
    # A job that requires this node for its parameter server fails with the reason.
    cluster.reserve("misled", 0, Placement(parameter_server={"ray.io/node-id": node}))
    misled = cluster.start(Role.PARAMETER_SERVER, coordinator.launch_of(7), tmp_path / "log")
    assert eventually(misled.ended).endswith(why)
    for process in processes:
        process.kill()

    options = ["--cluster", "ray", "--ray-address", ray_nodes.address, "--state", str(tmp_path / "state")]
    ports = ["--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"]
    command = [sys.executable, "-m", "raydient.client.cli", "serve", *options, *ports]
    served = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    assert served.returncode == 2
    assert served.stderr.strip().splitlines()[-1].endswith(why)
