"""A Ray on this machine that this process starts and ends, with a folder of its own for logs and sockets."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
import ray._private.worker

from .cluster import ClusterError
from .ray_nodes import first_line

LOOPBACK = "127.0.0.1"
OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""Size of Ray's object store, about the least that Ray accepts; raydient stores nothing there."""
PREFIX = "raydient-ray-"
LOCK_FILE = "owner"


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


class SessionFolder:
    """A new folder that only this user can read. It is locked until `close`, which marks it as in use.

    If its owner is killed, the next process that makes one removes it.
    """

    def __init__(self) -> None:
        remove_leftovers()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.path / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder. Harmless when repeated."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def remove_leftovers() -> None:
    """Remove the folders of owners that have ended. Ray's processes end with the process that started them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # not a session folder, in use, or being created
            lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.geteuid():
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
