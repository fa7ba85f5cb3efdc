"""A Ray on this machine that belongs to this process, with a folder of its own for logs and sockets."""

from typing import Any

import ray
import ray._private.worker

from .cluster import ClusterError
from .ray_nodes import first_line
from .session_folder import SessionFolder

LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""About the least that Ray accepts: nothing of ours lies there."""


class OwnRay:
    """Runs from its construction until `close`; it wants a token that only this process has."""

    def __init__(self, slots: int, namespace: str) -> None:
        """Room for so many workers. ClusterError if it cannot be started."""
        self.slots = slots
        self._folder = SessionFolder()
        try:
            ray.init(
                address="local",
                namespace=namespace,
                num_cpus=slots,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                _node_ip_address=LOOPBACK,
                _temp_dir=str(self._folder.path),
                # Ray lowers its workers' priority by 15; beside anything else on the machine they would starve.
                _system_config={"worker_niceness": 0},
            )
        except BaseException as error:
            ray.shutdown()  # it may have got halfway
            self._folder.close()
            if isinstance(error, Exception):
                raise ClusterError(f"Ray cannot be started: {first_line(error)}") from error
            raise
        self._node: Any = ray._private.worker._global_node
        self._closed = False

    @property
    def dead(self) -> str:
        """The kinds of its processes that have died, such as `raylet` or `gcs_server`; empty while all are there."""
        return ", ".join(kind for kind, _ in self._node.dead_processes())

    @property
    def alive(self) -> bool:
        """True if all processes of it are there. Never blocks, from any thread."""
        return not (self._closed or self.dead)

    def close(self) -> None:
        """End it and everything that runs on it. Harmless when repeated."""
        if not self._closed:
            self._closed = True
            ray.shutdown()
            self._folder.close()
