"""Processes as Ray actors: Ray places, starts and watches them and has no part in what they say to each other.

The only module that imports ray. Actors are plain `Member`s, wrapped here and nowhere else; they are never restarted or
retried by Ray, because what to do about a loss is the coordinator's to decide.
"""

import contextlib
import json
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raydient.wire.control import Role

from .cluster import ClusterError
from .member import BLAS_ENVIRONMENT, run

NAMESPACE = "raydient"
OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""About the least that Ray accepts: nothing of ours lies there."""
KILL_SECONDS = 10.0
_LOOPBACK = "127.0.0.1"


class Member:
    """The actor: one process of a job."""

    def run(self, role: str, launch: str, host: str | None) -> None:
        """Be this process until its work is done."""
        run(role, launch, host or ray.util.get_node_ip_address())
        if role == Role.COORDINATOR:
            ray.actor.exit_actor()  # detached: nobody else ends it


class RayCluster:
    """A Ray cluster, seen from its driver or from inside one of its actors."""

    def __init__(self, slots: int, host: str | None, session: Path | None = None) -> None:
        """`host` is where all of the cluster is, None if it may have many machines; `session` a Ray's that is ours."""
        self.slots = slots
        self.host = host or ray.util.get_node_ip_address()
        self._one_host = host
        self._session = session
        self._processes: list[RayProcess] = []

    @classmethod
    def start_ray(cls, slots: int) -> "RayCluster":
        """Start a Ray on this machine with room for so many workers; it wants a token that only this process has."""
        session = Path(tempfile.mkdtemp(prefix="raydient-ray-"))
        try:
            ray.init(
                address="local",
                namespace=NAMESPACE,
                num_cpus=slots,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                _node_ip_address=_LOOPBACK,
                _temp_dir=str(session),
                # Ray lowers its workers' priority by 15; beside anything else on the machine they would starve.
                _system_config={"worker_niceness": 0},
            )
        except BaseException as error:
            shutil.rmtree(session, ignore_errors=True)
            if isinstance(error, Exception):
                raise ClusterError(f"Ray cannot be started: {_first_line(error)}") from error
            raise
        return cls(slots, _LOOPBACK, session)

    @classmethod
    def join(cls, address: str) -> "RayCluster":
        """Join a running Ray from one of its nodes."""
        try:
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
        except (RayError, OSError, RuntimeError, ValueError) as error:
            raise ClusterError(f"no Ray at {address} that this machine is a node of: {_first_line(error)}") from error
        return cls(int(ray.cluster_resources().get("CPU", 0)), None)

    def start(self, role: Role, launch: str, log: Path) -> "RayProcess":
        # What an actor prints is in the logs of Ray's session, on its machine.
        detached = role is Role.COORDINATOR
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options: dict[str, Any] = {
            "num_cpus": 1 if role is Role.WORKER else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": {"env_vars": BLAS_ENVIRONMENT},
            "lifetime": "detached" if detached else None,
            "name": f"{role}-{secrets.token_hex(8)}" if detached else None,
            # The coordinator writes checkpoints where the service reads them; its Unix socket is on this machine too.
            "scheduling_strategy": here if detached else "DEFAULT",
        }
        actor: Any = ray.remote(Member).options(**options).remote()
        process = RayProcess(actor, actor.run.remote(role.value, launch, self._one_host))
        self._processes = [p for p in self._processes if p.ended() is None]
        self._processes.append(process)
        return process

    def describe(self) -> str:
        return json.dumps({"kind": "ray", "slots": self.slots, "host": self._one_host})

    def close(self) -> None:
        if self._session is not None:
            ray.shutdown()  # ends every actor with the Ray that they run on
            shutil.rmtree(self._session, ignore_errors=True)
            return
        for process in self._processes:
            process.kill()
        self._processes.clear()


class RayProcess:
    """An actor and the one call that it is there for."""

    def __init__(self, actor: ActorHandle[Any], call: "ray.ObjectRef[None]") -> None:
        self._actor, self._call = actor, call
        self._ended: str | None = None

    def ended(self) -> str | None:
        if self._ended is None and ray.is_initialized():
            self._ended = self._look(0)
            if self._ended is not None:
                ray.kill(self._actor, no_restart=True)  # an actor outlives its last call
        return self._ended

    def _look(self, timeout_seconds: float) -> str | None:
        try:
            ray.get(self._call, timeout=timeout_seconds)
        except GetTimeoutError:
            return None
        except RayTaskError as error:
            return f"ended with {type(error.cause).__name__}" if error.cause else "ended with an error"
        except RayActorError:
            return "its actor died"
        return "ended"

    def kill(self) -> None:
        if self._ended is not None or not ray.is_initialized():
            return
        with contextlib.suppress(RayError):
            ray.kill(self._actor, no_restart=True)
        self._ended = self._look(KILL_SECONDS) or "killed"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
