"""Processes as Ray actors: Ray places, starts and watches them and has no part in what they say to each other.

Only this module, `ray_nodes` and `own_ray` import ray. Actors are plain `Member`s, wrapped only here. Ray never
restarts them or retries their calls, because the coordinator decides how to react to a loss.
"""

import contextlib
import json
import logging
import os
import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, RayError, RayTaskError
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from raydient.spec.job import Placement
from raydient.wire.control import Role

from .cluster import ClusterError
from .endings import OUT_OF_MEMORY
from .member import BLAS_ENVIRONMENT, run
from .nodes import LOOK_SECONDS, Nodes
from .own_ray import LOOPBACK, OwnRay
from .placing import prefer
from .ray_nodes import Inspector, alive, check, first_line
from .versions import disagreement, installed

NAMESPACE = "raydient"
KILL_SECONDS = 10.0
PLACING_SECONDS = 1.0
_log = logging.getLogger(__name__)
_NODE_LABEL = "ray.io/node-id"
_ANYWHERE = "DEFAULT"
_Place = str | NodeAffinitySchedulingStrategy | PlacementGroupSchedulingStrategy


class Member:
    """The actor: one process of a job."""

    def whereabouts(self) -> tuple[str, int]:
        """Its node and its process id. Called before `run`, so answered as soon as Ray has started it."""
        return _this_node(), os.getpid()

    def run(self, role: str, launch: str, host: str | None, versions: dict[str, str]) -> None:
        """Be this process until its work is done. ClusterError if other versions are installed here."""
        if why := disagreement(f"node {ray.util.get_node_ip_address()}", installed(), versions):
            raise ClusterError(why)
        run(role, launch, host or ray.util.get_node_ip_address(), _this_node())
        if role == Role.COORDINATOR:
            ray.actor.exit_actor()  # a detached actor ends only by itself


class RayCluster:
    """A Ray cluster, seen from its driver or from inside one of its actors."""

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
        """`host` is the cluster's only machine, None if it may have several; `own` is a Ray that this process started.

        `nodes` watches the nodes of a cluster that may change; `refused` are ids of nodes that are not used.
        """
        self._slots, self._nodes, self._refused = slots, nodes, tuple(refused)
        self.detaches = nodes is not None
        self.host = host or ray.util.get_node_ip_address()
        self.node = _this_node()
        self._one_host = host
        self._own = own
        self._processes: list[RayProcess] = []
        self._group: _Group | None = None
        self._renewing = threading.Lock()  # held while the own Ray is replaced, and while a process is started on it
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
            ray.shutdown()  # it may have got halfway
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
        self._group = _Group(job, workers, placement, self._usable())

    def release(self) -> None:
        if self._group is not None:
            self._group.remove()
            self._group = None

    def _watch_own(self) -> None:
        """Replace the own Ray when one of its processes has died, because no actor would ever start on it."""
        while not self._closed.wait(LOOK_SECONDS):
            with self._renewing:
                if self._own is not None and not self._own.alive and not self._closed.is_set():
                    try:
                        self._renew(self._own)
                    except ClusterError:
                        _log.exception("the service's Ray has died and could not be replaced; trying again")

    def _renew(self, own: OwnRay) -> None:
        _log.error("the service's Ray has died (%s); starting another one, jobs go on from their checkpoints", own.dead)
        own.close()
        self._group = None
        self._own = OwnRay(own.slots, NAMESPACE)
        self.node = _this_node()

    def start(self, role: Role, launch: str, log: Path) -> "RayProcess":
        with self._renewing:
            if self._own is not None and not self._own.alive:
                self._renew(self._own)
            return self._start(role, launch)

    def _start(self, role: Role, launch: str) -> "RayProcess":
        # What an actor prints is in the logs of Ray's session, on its machine.
        detached = role is Role.COORDINATOR
        ended = [p for p in self._processes if p.ended() is not None]
        self._processes = [p for p in self._processes if p not in ended]
        self._refused += tuple(node for p in ended if p.misplaced and (node := p.node))
        place = self._place(role)
        options: dict[str, Any] = {
            "num_cpus": 1 if role is Role.WORKER else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": {"env_vars": BLAS_ENVIRONMENT},
            "lifetime": "detached" if detached else None,
            "name": f"{role}-{secrets.token_hex(8)}" if detached else None,
            "scheduling_strategy": place,
        }
        if place == _ANYWHERE and (usable := self._usable()):
            options["label_selector"] = usable
        actor: Any = ray.remote(Member).options(**options).remote()
        whereabouts = actor.whereabouts.remote()
        call = actor.run.remote(role.value, launch, self._one_host, installed())
        process = RayProcess(actor, role, place, whereabouts, call, own=self._own)
        self._processes.append(process)
        return process

    def _place(self, role: Role) -> _Place:
        """Where a process of this role goes."""
        if role is Role.COORDINATOR:
            # It writes checkpoints where the service reads them; its Unix socket is on this machine too.
            return NodeAffinitySchedulingStrategy(self.node, soft=False)
        if self._group is None:
            return _ANYWHERE
        place = self._group.place(role, self._processes, self._refused)
        if place is not None:
            return place
        free = {node: room.get("CPU", 0.0) for node, room in available_resources_per_node().items()}
        held = Counter(node for process in self._processes if (node := process.node))
        for process in self._processes:
            if process.waiting() and (node := process.node) in free:
                free[node] -= 1
        node = prefer({n: c for n, c in free.items() if n not in self._refusals()}, held, spread=self._group.spread)
        # Another user of the cluster may have taken that room meanwhile.
        return _ANYWHERE if node is None else NodeAffinitySchedulingStrategy(node, True, _spill_on_unavailable=True)

    def _refusals(self) -> Sequence[str]:
        return [*self._refused, *(node.id for node in (self._nodes.refused if self._nodes is not None else ()))]

    def _usable(self) -> dict[str, str]:
        """The label selector of nodes on which processes may run."""
        refused = self._refusals()
        return {_NODE_LABEL: f"!in({','.join(refused)})"} if refused else {}

    def describe(self) -> str:
        told = {"kind": "ray", "slots": self.slots, "host": self._one_host, "refused": self._refusals()}
        return json.dumps(told)

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


class _Group:
    """Room for the first processes of a job, given all at once."""

    def __init__(self, job: str, workers: int, placement: Placement, usable: dict[str, str]) -> None:
        self.spread = placement.strategy.kind == "spread"
        self._workers = workers
        bundles, selectors = [{"CPU": 1}] * workers, [usable] * workers
        # It takes no CPU, so that it fits in beside the first worker. A bundle of its own has to ask for something.
        self._server = 0
        if placement.parameter_server or not workers:
            self._server = workers
            bundles, selectors = [*bundles, {"memory": 1}], [*selectors, {**usable, **placement.parameter_server}]
        # Without lifetime="detached" Ray removes it with the process that made it, whatever ends that.
        self._group = placement_group(
            bundles,
            strategy="SPREAD" if self.spread else "PACK",
            name=f"{job}-{secrets.token_hex(4)}",
            bundle_label_selector=selectors,
        )

    def place(
        self, role: Role, living: Sequence["RayProcess"], refused: Sequence[str]
    ) -> PlacementGroupSchedulingStrategy | None:
        """A place in the group; None if all are taken."""
        if role is Role.PARAMETER_SERVER:
            return PlacementGroupSchedulingStrategy(self._group, self._server)
        if refused and {*refused} & {*placement_group_table(self._group)["bundles_to_node_id"].values()}:
            return None  # Ray has moved a bundle to a node that joined, and that turned out not to be of use
        inside = [p for p in living if p.role is role and isinstance(p.place, PlacementGroupSchedulingStrategy)]
        return PlacementGroupSchedulingStrategy(self._group) if len(inside) < self._workers else None

    def remove(self) -> None:
        """Give the room back.

        Ray loses resources, and places no further group, if a group is removed while Ray prepares it and one of its
        nodes dies (ray-project/ray#64693). So a group that may be in preparation is first given time to be placed.
        """
        if ray.is_initialized():
            self._group.wait(PLACING_SECONDS)
            remove_placement_group(self._group)


class RayProcess:
    """An actor and the two calls that it is there for: where it is, and its work."""

    def __init__(
        self,
        actor: ActorHandle[Any],
        role: Role,
        place: _Place,
        whereabouts: "ray.ObjectRef[tuple[str, int]]",
        call: "ray.ObjectRef[None]",
        *,
        own: OwnRay | None,
    ) -> None:
        """`own` is the Ray that it runs on, if this process started that Ray."""
        self.role, self.place = role, place
        self._actor, self._whereabouts, self._call, self._own = actor, whereabouts, call, own
        self._found: tuple[str, int] | None = None
        self._ended: str | None = None
        self.misplaced = False  # the node has other versions

    def waiting(self) -> bool:
        if self.ended() is not None or self._found is not None or not ray.is_initialized():
            return False
        return not ray.wait([self._whereabouts], timeout=0)[0]

    @property
    def node(self) -> str | None:
        """The id of the node that it is on, or is meant for as long as it waits; None if neither is known."""
        found = self._find()
        return found[0] if found else getattr(self.place, "node_id", None)

    @property
    def pid(self) -> int | None:
        """Its process id, on its node; None as long as it waits."""
        found = self._find()
        return found[1] if found else None

    def _find(self) -> tuple[str, int] | None:
        if self._found is None and ray.is_initialized() and not self.waiting():
            with contextlib.suppress(RayError):
                self._found = ray.get(self._whereabouts, timeout=0)
        return self._found

    def ended(self) -> str | None:
        if self._ended is None and self._own is not None and not self._own.alive:
            self._ended = "its Ray has died"
        if self._ended is None and ray.is_initialized():
            self._ended = self._look(0)
            if self._ended is not None:
                with contextlib.suppress(RayError):
                    ray.kill(self._actor, no_restart=True)  # an actor outlives its last call
        return self._ended

    def _look(self, timeout_seconds: float) -> str | None:
        try:
            ray.get(self._call, timeout=timeout_seconds)
        except GetTimeoutError:
            return None
        except RayTaskError as error:
            if isinstance(error.cause, ClusterError):
                self.misplaced = True
                return str(error.cause)
            if isinstance(error.cause, MemoryError):
                return OUT_OF_MEMORY
            return f"ended with {type(error.cause).__name__}" if error.cause else "ended with an error"
        except OutOfMemoryError:
            return OUT_OF_MEMORY
        except RayActorError:
            return "its actor died"
        return "ended"

    def detach(self) -> None:
        self._ended = "detached"

    def kill(self) -> None:
        if self.ended() is not None or not ray.is_initialized():
            return
        with contextlib.suppress(RayError):
            ray.kill(self._actor, no_restart=True)
        self._ended = self._look(KILL_SECONDS) or "killed"


def _this_node() -> str:
    node: str = ray.get_runtime_context().get_node_id()
    return node
