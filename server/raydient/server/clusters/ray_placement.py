"""Placement groups: where the processes of a job run on a Ray."""

import secrets
from collections.abc import Sequence
from typing import Protocol

import ray
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from raydient.spec.job import Placement
from raydient.wire.control import Role

PLACING_SECONDS = 1.0
ANYWHERE = "DEFAULT"
Place = str | NodeAffinitySchedulingStrategy | PlacementGroupSchedulingStrategy
"""A scheduling strategy of Ray."""


class Placed(Protocol):
    """A process with a place."""

    role: Role
    place: Place


class Group:
    """A placement group: room for the first processes of a job, granted as a whole.

    Attributes:
        spread: its processes run on different nodes, as far as there are some.
        server_labels: those of nodes on which parameter servers may run.
    """

    def __init__(self, job: str, workers: int, placement: Placement, usable: dict[str, str]) -> None:
        self.spread = placement.strategy.kind == "spread"
        self.server_labels = placement.parameter_server
        self._workers = workers
        bundles, selectors = [{"CPU": 1}] * workers, [usable] * workers
        # The parameter server takes no CPU and shares the bundle of the first worker. A separate bundle must request a
        # resource.
        self._servers: Sequence[int] = range(workers)
        if placement.parameter_server or not workers:
            self._servers = [workers]
            bundles, selectors = [*bundles, {"memory": 1}], [*selectors, {**usable, **placement.parameter_server}]
        # Without lifetime="detached", Ray removes the group with the process that created it.
        self._group = placement_group(
            bundles,
            strategy="SPREAD" if self.spread else "PACK",
            name=f"{job}-{secrets.token_hex(4)}",
            bundle_label_selector=selectors,
        )

    def place(
        self, role: Role, living: Sequence[Placed], refused: Sequence[str]
    ) -> PlacementGroupSchedulingStrategy | None:
        """A place in the group for a process of this role; None if all are taken or on nodes that are refused."""
        nodes = placement_group_table(self._group)["bundles_to_node_id"] if refused else {}
        if role is Role.PARAMETER_SERVER:
            # Without labels the servers go to the bundles of different workers: with `spread`, to different nodes.
            others = sum(p.role is role for p in living)
            bundles = [bundle for bundle in self._servers if nodes.get(bundle) not in refused]
            return PlacementGroupSchedulingStrategy(self._group, bundles[others % len(bundles)]) if bundles else None
        if {*refused} & {*nodes.values()}:
            return None  # a bundle, perhaps a free one, is on a node that cannot be used
        inside = [p for p in living if p.role is role and isinstance(p.place, PlacementGroupSchedulingStrategy)]
        return PlacementGroupSchedulingStrategy(self._group) if len(inside) < self._workers else None

    def remove(self) -> None:
        """Release the room.

        If a group is removed while Ray prepares it and one of its nodes dies, Ray loses resources and places no further
        group (ray-project/ray#64693). This method therefore first waits for the group to be placed.
        """
        if ray.is_initialized():
            self._group.wait(PLACING_SECONDS)
            remove_placement_group(self._group)
