"""The Ray that the tests' process is connected to: one of its own as the service starts it, or one of several nodes."""

import gc
import os
import secrets
import signal
import warnings
from pathlib import Path

from raydient.server.clusters.opening import open_cluster

from .waiting import eventually

CONFIGURATION = {
    # A node that was killed is missed after a second and a half, not after fifteen.
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
    "worker_niceness": 0,
}
OBJECT_STORE_BYTES = 80 << 20


class RayNodes:
    """A Ray of several nodes, all on this machine; this process, as a service would be, is on the first.

    Attributes:
        address: where a service joins it.
        first: id of the first node, which cannot be removed; it has two CPUs.
        cluster: as `--ray-address` joins it.
    """

    def __init__(self):
        from ray.cluster_utils import Cluster

        self._ray = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2,
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "_system_config": CONFIGURATION,
            },
        )
        self._nodes = {}
        self.address, self.first = self._ray.address, self._ray.head_node._node_id
        self.cluster = open_cluster("ray", slots=0, address=self.address)

    def add(self, cpus=2, labels=None, environment=None):
        """A node more; its id. `environment` is that of its processes."""
        node = self._ray.add_node(
            num_cpus=cpus, object_store_memory=OBJECT_STORE_BYTES, labels=labels, env_vars=environment
        )
        self._nodes[node._node_id] = node
        return node._node_id

    def remove(self, node_id, *, killed=False):
        """End a node and every process on it; `killed`: at once, as if its machine had lost power."""
        node = self._nodes.pop(node_id)
        if killed:
            raylet = node.all_processes["raylet"][0].process.pid
            tasks = Path(f"/proc/{raylet}/task").iterdir()
            children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
            for pid in (raylet, *children):
                os.kill(pid, signal.SIGKILL)
        self._ray.remove_node(node, allow_graceful=not killed)
        del node
        _collect_handles()

    def remove_all(self):
        """Remove every node but the first, and wait until Ray places nothing on them any more."""
        import ray

        for node_id in list(self._nodes):
            self.remove(node_id)
        eventually(lambda: [node["NodeID"] for node in ray.nodes() if node["Alive"]] == [self.first])

    def close(self):
        self.remove_all()
        self.cluster.close()
        self._ray.shutdown()


def _started(start):
    """Return the result of `start`, with one more attempt after a timeout.

    Ray gives the processes of a node 15 and 30 seconds to start, by constants; a busy machine may need longer. What the
    first attempt left ends with this process.
    """
    try:
        return start()
    except Exception as error:
        if "timed out" not in str(error).lower():
            raise
    _collect_handles()
    return start()


def _collect_handles():
    """Collect Ray's handles of processes here. Of one that has not ended a second after it was killed, and of those of
    a start that failed, Ray drops the handle, and Python complains in whichever test collects it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"subprocess \d+ is still running", ResourceWarning)
        gc.collect()


class Rays:
    """Opens one or the other and closes what was open: a process is connected to one Ray at a time."""

    def __init__(self):
        self._own = self._nodes = None

    def own(self):
        """A cluster on a Ray of this process's own, with four slots."""
        if self._own is None:
            self.close()
            self._own = _started(lambda: open_cluster("ray", slots=4))
        return self._own

    def nodes(self):
        """A Ray of several nodes, of which there is the first."""
        if self._nodes is None:
            self.close()
            # Before Ray is imported, as the other one does it: it reads them only once.
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            self._nodes = _started(RayNodes)
        return self._nodes

    def close(self):
        opened = [ray for ray in (self._own, self._nodes) if ray]
        self._own = self._nodes = None
        while opened:
            opened.pop().close()
            _collect_handles()
