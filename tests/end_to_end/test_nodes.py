"""A Ray of several nodes: neither the placement of processes nor the loss of a node changes the weights."""

from contextlib import closing
from pathlib import Path

import pytest

from raydient.server.clusters.local import LocalCluster
from raydient.server.training.reports import Notice, Outcome, Progress, Started
from raydient.wire import control
from raydient.wire.control import Role

from .conftest import Watched, execute
from .test_unlike_machines import OTHER

pytestmark = pytest.mark.ray

FAST = {"disk": "fast"}


class Scene:
    """A job on nodes: its processes, its reports, and an action at a step."""

    def __init__(self, cluster, at_step, act):
        self._cluster, self._at_step, self._act = Watched(cluster), at_step, act
        self._acted = False
        self.reports, self.orders = [], []

    def run(self, prepared, directory):
        finished = execute(prepared, self._cluster, directory, self.hear, orders=self.orders)
        assert self._acted
        assert finished.outcome is Outcome.SUCCEEDED
        return finished.digest

    def living(self, role):
        return [process for r, process in self._cluster.processes if r is role and process.ended() is None]

    def reports_of(self, kind):
        return [report for report in self.reports if isinstance(report, kind)]

    def hear(self, report):
        self.reports.append(report)
        if isinstance(report, Progress) and not self._acted and report.step >= self._at_step:
            self._acted = True
            self._act(self)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The digest that local processes compute, once for each training section."""
    known = {}

    def look_up(prepared):
        key = str(prepared.spec.training)
        if key not in known:
            with closing(LocalCluster(4)) as local:
                known[key] = execute(prepared, local, tmp_path_factory.mktemp("local")).digest
        return known[key]

    return look_up


def shared_memory(process):
    """Return the inodes of the segments that a process has mapped; two processes share those that both have."""
    lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if "/memfd:raydient" in line}


@pytest.mark.parametrize("nodes", [2, 3])
def test_each_worker_exchanges_the_way_its_node_allows(job, ray_nodes, expected, tmp_path, nodes):
    names = [ray_nodes.first, *(ray_nodes.add(labels=FAST if n == 0 else None) for n in range(nodes - 1))]
    prepared = job(3, placement={"strategy": "spread", "parameter_server": FAST}, epochs=20)
    placed = []

    def look(scene):
        (server,) = scene.living(Role.PARAMETER_SERVER)
        workers = scene.living(Role.WORKER)
        placed.append((server.node, [(w.node, bool(shared_memory(server) & shared_memory(w))) for w in workers]))

    assert Scene(ray_nodes.cluster, 1, look).run(prepared, tmp_path) == expected(prepared)
    [(server, workers)] = placed
    assert server == names[1]
    assert {node for node, _ in workers} == {*names}
    assert all(shares == (node == server) for node, shares in workers)
    assert len(workers) == 3


def test_a_node_that_computes_other_bits_is_avoided(job, ray_nodes, expected, tmp_path):
    """A worker that was placed there is refused, and its replacement runs on another node."""
    ray_nodes.add()
    odd = ray_nodes.add(environment=OTHER)
    prepared = job(3, placement={"strategy": "spread"}, epochs=20)
    placed = []

    def look(scene):
        placed.extend(process.node for process in scene.living(Role.WORKER))

    scene = Scene(ray_nodes.cluster, 1, look)
    assert scene.run(prepared, tmp_path) == expected(prepared)
    refused = [notice.message for notice in scene.reports_of(Notice) if notice.reason == "NUMERICS_REFUSED"]
    assert all("computes other bits: probe " in message for message in refused)
    roles = [message.rpartition(" at ")[0].rpartition(" ")[0] for message in refused]
    # Ray decides whether the parameter server is first put there too.
    assert sorted(roles) in (["worker"], ["parameter server", "worker"])
    assert len(placed) == 3
    assert odd not in placed


def test_a_parameter_server_avoids_a_node_that_computes_other_bits(job, ray_nodes, expected, tmp_path):
    """The only room that is left for it at first is on that node, which has all the room."""
    odd = ray_nodes.add(cpus=4, environment=OTHER)
    prepared = job(2, epochs=20)
    placed = []

    def look(scene):
        placed.extend(process.node for role in Role for process in scene.living(role))

    scene = Scene(ray_nodes.cluster, 1, look)
    assert scene.run(prepared, tmp_path) == expected(prepared)
    assert len(placed) == 3
    assert odd not in placed


def test_packed_workers_share_a_node(job, ray_nodes, expected, tmp_path):
    second = ray_nodes.add(cpus=3)
    prepared = job(3, epochs=20)
    used = []
    scene = Scene(ray_nodes.cluster, 1, lambda scene: used.extend(w.node for w in scene.living(Role.WORKER)))
    assert scene.run(prepared, tmp_path) == expected(prepared)
    assert used == [second] * 3


def test_a_node_that_dies_costs_its_workers_and_nothing_else(job, ray_nodes, expected, tmp_path):
    second = ray_nodes.add()
    placement = {"strategy": "spread", "parameter_server": {"ray.io/node-id": ray_nodes.first}}
    prepared = job(2, placement=placement, epochs=400)  # the loss is to be noticed before the end
    nodes = []

    def remove(scene):
        nodes.extend(w.node for w in scene.living(Role.WORKER))
        ray_nodes.remove(second, killed=True)

    scene = Scene(ray_nodes.cluster, 100, remove)
    assert scene.run(prepared, tmp_path) == expected(prepared)
    assert sorted(nodes) == sorted([ray_nodes.first, second])
    assert [notice.reason for notice in scene.reports_of(Notice)][:1] == ["WORKER_LOST"]
    assert len(scene.reports_of(Started)) == 1, "no step was computed twice"


def test_the_node_of_the_parameter_server_dies(job, ray_nodes, expected, tmp_path):
    second = ray_nodes.add(labels=FAST)
    prepared = job(2, checkpoint_seconds=0.0, placement={"parameter_server": FAST}, epochs=100)
    third = []

    def replace(scene):
        assert [p.node for p in scene.living(Role.PARAMETER_SERVER)] == [second]
        ray_nodes.remove(second, killed=True)  # at once: the servers go on while the coordinator waits here
        third.append(ray_nodes.add(labels=FAST))

    scene = Scene(ray_nodes.cluster, 200, replace)
    assert scene.run(prepared, tmp_path) == expected(prepared)
    assert "PARAMETER_SERVER_LOST" in [notice.reason for notice in scene.reports_of(Notice)]
    starts = [started.step for started in scene.reports_of(Started)]
    assert len(starts) == 2
    assert starts[1] > 0, "it went on from a checkpoint"


def test_a_node_that_is_added_takes_workers_when_the_job_is_scaled(job, ray_nodes, expected, tmp_path):
    prepared = job(2, epochs=700)  # Ray takes a while for a node and its first processes
    added, where = [], []

    def grow(scene):
        added.append(ray_nodes.add(cpus=2))
        scene.orders.append(control.Scale(4, 2))

    class Growing(Scene):
        def hear(self, report):
            super().hear(report)
            if isinstance(report, Notice) and report.reason == "WORKER_JOINED" and report.message.endswith("4 at work"):
                where.extend(worker.node for worker in self.living(Role.WORKER))
                self.orders.append(control.Scale(1, 1))

    scene = Growing(ray_nodes.cluster, 50, grow)
    assert scene.run(prepared, tmp_path) == expected(prepared)
    assert sorted(where) == sorted([ray_nodes.first] * 2 + added * 2)
    reasons = [notice.reason for notice in scene.reports_of(Notice)]
    assert [reasons.count(reason) for reason in ("WORKER_JOINED", "WORKER_LEFT", "WORKER_LOST")] == [2, 3, 0]
    assert len(scene.reports_of(Started)) == 1
