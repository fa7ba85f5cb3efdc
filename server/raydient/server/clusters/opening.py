"""Which cluster: by its name, or by what another process said of its own (`Cluster.describe`)."""

import json
import os
import secrets

from .cluster import Cluster
from .local import LocalCluster


def open_cluster(kind: str, *, slots: int, address: str | None = None) -> Cluster:
    """The cluster of this kind, `local` or `ray`, with room for so many workers where it is ours to say.

    `address` is that of a running Ray to join; without one, a Ray of our own is started. ClusterError if that fails.
    """
    if kind == "local":
        return LocalCluster(slots)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        # Ray reads these when it is imported. Its ports listen on every address: nobody gets in without the token.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    # Ray takes half a second to import and is not needed on a laptop.
    from .ray import RayCluster  # noqa: PLC0415

    return RayCluster.start_ray(slots) if address is None else RayCluster.join(address)


def reopen_cluster(description: str) -> Cluster:
    """The cluster that another process of it described."""
    told = json.loads(description)
    if told["kind"] == "local":
        return LocalCluster(told["slots"])
    from .ray import RayCluster  # noqa: PLC0415

    return RayCluster(told["slots"], told["host"], refused=told["refused"])
