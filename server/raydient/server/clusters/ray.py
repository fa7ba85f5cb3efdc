"""Processes as Ray actors. Ray places, starts and watches them; their messages do not pass through it.

Only `own_ray` and the modules `ray*` of this folder import ray. Actors are plain `Member`s, wrapped only here. Ray
never restarts them or retries their calls, because the coordinator decides how to react to a loss.
"""

import json
import logging
import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raydient.spec.job import Placement
from raydient.wire.control import Role

from .cluster import ClusterError
from .member import environment
from .nodes import LOOK_SECONDS, Nodes, installed, prefer
from .own_ray import LOOPBACK, OwnRay
from .ray_nodes import Inspector, alive, check, first_line, this_node
from .ray_placement import ANYWHERE, Group, Place
from .ray_process import Member, RayProcess

NAMESPACE = "raydient"
_log = logging.getLogger(__name__)
_NODE_LABEL = "ray.io/node-id"


class RayCluster:
    """A Ray cluster, as its driver or one of its actors uses it. See `Cluster`."""

    reserves = True

    def __init__(
        self,
        slots: int,
        host: str | None,
        *,
        own: OwnRay | None = None,
        nodes: Nodes | None = None,
        refused: Sequence[str] = (),
    ) -> None:
        """Use the Ray to which this process is connected.

        Args:
            slots: number of worker processes, if `nodes` is None.
            host: the cluster's only machine; None if it may have several.
            own: a Ray that this process started.
            nodes: watches the nodes of a cluster that may change.
            refused: ids of nodes that are not used.
        """
        self._slots, self._nodes, self._refused = slots, nodes, tuple(refused)
        self.detaches = nodes is not None
        self.host = host or ray.util.get_node_ip_address()
        self.node = this_node()
        self._one_host = host
        self._own = own
        self._processes: list[RayProcess] = []
        self._group: Group | None = None
        self._renewing = threading.Lock()  # held while the own Ray is replaced or a process is started
        self._closed = threading.Event()
        if own is not None:
            threading.Thread(target=self._watch_own, name="ray", daemon=True).start()

    @classmethod
    def start_ray(cls, slots: int) -> "RayCluster":
        """Start a Ray on this machine with room for `slots` workers; it is replaced if it dies."""
        return cls(slots, LOOPBACK, own=OwnRay(slots, NAMESPACE))

    @classmethod
    def join(cls, address: str) -> "RayCluster":
        """Join a running Ray from one of its nodes."""
        try:
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
        except (RayError, OSError, RuntimeError, ValueError) as error:
            ray.shutdown()  # the connection may be partial
            if str(error).startswith("Version mismatch"):
                raise ClusterError(f"Ray at {address}: {' '.join(str(error).split())}") from error
            raise ClusterError(f"no Ray at {address} that this machine is a node of: {first_line(error)}") from error
        nodes = Nodes(alive, Inspector().inspect)
        try:
            check(nodes)
        except ClusterError:
            ray.shutdown()
            raise
        nodes.watch()
        return cls(0, None, nodes=nodes)

    @property
    def slots(self) -> int:
        return self._slots if self._nodes is None else self._nodes.slots

    def reserve(self, job: str, workers: int, placement: Placement) -> None:
        self.release()
        self._group = Group(job, workers, placement, self._usable())

    def release(self) -> None:
        if self._group is not None:
            self._group.remove()
            self._group = None

    def _watch_own(self) -> None:
        """Replace the own Ray when one of its processes has died, because no actor starts on it any more."""
        while not self._closed.wait(LOOK_SECONDS):
            with self._renewing:
                if self._own is not None and not self._own.alive and not self._closed.is_set():
                    try:
                        self._renew(self._own)
                    except ClusterError:
                        _log.exception("the service's Ray has died and cannot be replaced yet; trying again")

    def _renew(self, own: OwnRay) -> None:
        _log.error("the service's Ray has died (%s); starting another one, jobs go on from their checkpoints", own.dead)
        own.close()
        self._group = None
        self._own = OwnRay(own.slots, NAMESPACE)
        self.node = this_node()

    def start(self, role: Role, launch: str, log: Path, *, portable: bool = False) -> "RayProcess":
        with self._renewing:
            if self._own is not None and not self._own.alive:
                self._renew(self._own)
            return self._start(role, launch, environment(portable=portable))

    def _start(self, role: Role, launch: str, variables: dict[str, str]) -> "RayProcess":
        # `log` is not used: the output of an actor goes to the logs of Ray's session on its machine.
        detached = role is Role.COORDINATOR
        ended = [p for p in self._processes if p.ended() is not None]
        self._processes = [p for p in self._processes if p not in ended]
        self._refused += tuple(node for p in ended if p.misplaced and (node := p.node))
        place = self._place(role)
        options: dict[str, Any] = {
            "num_cpus": 1 if role is Role.WORKER else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": {"env_vars": variables},
            "lifetime": "detached" if detached else None,
            "name": f"{role}-{secrets.token_hex(8)}" if detached else None,
            "scheduling_strategy": place,
        }
        if place == ANYWHERE and (usable := self._usable(role)):
            options["label_selector"] = usable
        actor: Any = ray.remote(Member).options(**options).remote()
        whereabouts = actor.whereabouts.remote()
        call = actor.run.remote(role.value, launch, self._one_host, installed())
        process = RayProcess(actor, role, place, whereabouts, call, own=self._own)
        self._processes.append(process)
        return process

    def _place(self, role: Role) -> Place:
        """Choose the place of a process of this role."""
        if role is Role.COORDINATOR:
            # The service reads its checkpoints and connects to its Unix socket.
            return NodeAffinitySchedulingStrategy(self.node, soft=False)
        if self._group is None:
            return ANYWHERE
        place = self._group.place(role, self._processes, self._refused)
        if place is not None:
            return place
        if role is Role.PARAMETER_SERVER:
            return ANYWHERE
        free = {node: room.get("CPU", 0.0) for node, room in available_resources_per_node().items()}
        held = Counter(node for process in self._processes if (node := process.node))
        for process in self._processes:
            if process.waiting() and (node := process.node) in free:
                free[node] -= 1
        node = prefer({n: c for n, c in free.items() if n not in self._refusals()}, held, spread=self._group.spread)
        # Spilling is allowed, because another user of the cluster may have taken that room meanwhile.
        return ANYWHERE if node is None else NodeAffinitySchedulingStrategy(node, True, _spill_on_unavailable=True)

    def _refusals(self) -> Sequence[str]:
        return [*self._refused, *(node.id for node in (self._nodes.refused if self._nodes is not None else ()))]

    def _usable(self, role: Role = Role.WORKER) -> dict[str, str]:
        """The label selector of nodes on which processes of a role may run."""
        refused = self._refusals()
        usable = {_NODE_LABEL: f"!in({','.join(refused)})"} if refused else {}
        if role is Role.PARAMETER_SERVER and self._group is not None:
            usable |= self._group.server_labels
        return usable

    def describe(self) -> str:
        return json.dumps({"kind": "ray", "slots": self.slots, "host": self._one_host, "refused": self._refusals()})

    def close(self) -> None:
        if self._nodes is not None:
            self._nodes.close()
        self._closed.set()
        if self._own is None:
            for process in self._processes:
                process.kill()
        self._processes.clear()
        self.release()
        with self._renewing:
            if self._own is not None:
                self._own.close()  # ends all its actors
            elif self._nodes is not None:
                ray.shutdown()  # ends the actors that are not detached
