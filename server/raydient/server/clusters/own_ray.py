"""A Ray on this machine that this process starts and ends."""

from typing import Any

import ray
import ray._private.worker

from .cluster import ClusterError
from .ray_nodes import first_line
from .session_folder import SessionFolder

LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""Size of Ray's object store, about the least that Ray accepts; raydient stores nothing there."""


class OwnRay:
    """A Ray that runs from its construction until `close`. Connections need a token that only this process has."""

    def __init__(self, slots: int, namespace: str) -> None:
        """Start a Ray with room for `slots` workers. Raises ClusterError."""
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
                # Ray lowers the priority of its workers by 15; beside other programs they would starve.
                _system_config={"worker_niceness": 0},
            )
        except BaseException as error:
            ray.shutdown()  # the start may have been partial
            self._folder.close()
            if isinstance(error, Exception):
                raise ClusterError(f"Ray cannot be started: {first_line(error)}") from error
            raise
        self._node: Any = ray._private.worker._global_node
        self._closed = False

    @property
    def dead(self) -> str:
        """The kinds of its processes that have died, such as `raylet` or `gcs_server`; empty while all are alive."""
        return ", ".join(kind for kind, _ in self._node.dead_processes())

    @property
    def alive(self) -> bool:
        """True if all of its processes are alive. Never blocks; may be called from any thread."""
        return not (self._closed or self.dead)

    def close(self) -> None:
        """End Ray and every process that runs on it. Harmless when repeated."""
        if not self._closed:
            self._closed = True
            ray.shutdown()
            self._folder.close()
