"""Actors as processes of a job."""

import contextlib
import os
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, RayError, RayTaskError

from raydient.wire.control import Role

from .cluster import OUT_OF_MEMORY, ClusterError
from .member import run
from .nodes import disagreement, installed
from .own_ray import OwnRay
from .ray_nodes import this_node
from .ray_placement import Place

KILL_SECONDS = 10.0


class Member:
    """The actor: one process of a job. A plain class, wrapped by `RayCluster`."""

    def whereabouts(self) -> tuple[str, int]:
        """Its node and process id. Called before `run`, and therefore answered as soon as Ray has started the actor."""
        return this_node(), os.getpid()

    def run(self, role: str, launch: str, host: str | None, versions: dict[str, str]) -> None:
        """Run the process to its end. Raises ClusterError if other versions are installed on this node."""
        if difference := disagreement(f"node {ray.util.get_node_ip_address()}", installed(), versions):
            raise ClusterError(difference)
        run(role, launch, host or ray.util.get_node_ip_address(), this_node())
        if role == Role.COORDINATOR:
            ray.actor.exit_actor()  # a detached actor ends only by itself


class RayProcess:
    """An actor and its two calls, `whereabouts` and `run`. See `Process`."""

    def __init__(
        self,
        actor: ActorHandle[Any],
        role: Role,
        place: Place,
        whereabouts: "ray.ObjectRef[tuple[str, int]]",
        call: "ray.ObjectRef[None]",
        *,
        own: OwnRay | None,
    ) -> None:
        """`own` is the Ray on which it runs, if this process started that Ray."""
        self.role, self.place = role, place
        self._actor, self._whereabouts, self._call, self._own = actor, whereabouts, call, own
        self._located: tuple[str, int] | None = None
        self._ended: str | None = None
        self.misplaced = False  # its node has other versions or other arithmetic

    def waiting(self) -> bool:
        if self.ended() is not None or self._located is not None or not ray.is_initialized():
            return False
        return not ray.wait([self._whereabouts], timeout=0)[0]

    @property
    def node(self) -> str | None:
        """The id of its node, or of its intended node while it waits; None if neither is known."""
        located = self._locate()
        return located[0] if located else getattr(self.place, "node_id", None)

    @property
    def pid(self) -> int | None:
        """Its process id on its node; None while it waits."""
        located = self._locate()
        return located[1] if located else None

    def _locate(self) -> tuple[str, int] | None:
        if self._located is None and ray.is_initialized() and not self.waiting():
            with contextlib.suppress(RayError):
                self._located = ray.get(self._whereabouts, timeout=0)
        return self._located

    def ended(self) -> str | None:
        if self._ended is None and self._own is not None and not self._own.alive:
            self._ended = "its Ray has died"
        if self._ended is None and ray.is_initialized():
            self._ended = self._outcome(0)
            if self._ended is not None:
                with contextlib.suppress(RayError):
                    ray.kill(self._actor, no_restart=True)  # an actor outlives its last call
        return self._ended

    def _outcome(self, timeout_seconds: float) -> str | None:
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

    def refuse(self) -> None:
        if self._own is None:
            self.misplaced = True
            self.kill()

    def kill(self) -> None:
        if self.ended() is not None or not ray.is_initialized():
            return
        with contextlib.suppress(RayError):
            ray.kill(self._actor, no_restart=True)
        self._ended = self._outcome(KILL_SECONDS) or "killed"
