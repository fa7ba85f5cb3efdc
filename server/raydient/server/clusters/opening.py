"""The kinds of clusters: each is opened by its name, or from the description that another process made of its own."""

import json
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .cluster import Cluster, ClusterError
from .local import LocalCluster


class Kind(NamedTuple):
    """A kind of cluster. Its module is imported when one is opened.

    Attributes:
        open: from the number of workers and the address of a running cluster, None for one of our own.
        reopen: from the fields of `Cluster.describe`, without `kind`, as keywords.
    """

    open: Callable[[int, str | None], Cluster]
    reopen: Callable[..., Cluster]


def open_cluster(kind: str, *, slots: int, address: str | None = None) -> Cluster:
    """Open a cluster of this kind, one of `KINDS`, with room for `slots` workers unless it is joined.

    `address` is that of a running cluster to join; None starts one. Raises ClusterError.
    """
    return _kind(kind).open(slots, address)


def reopen_cluster(description: str) -> Cluster:
    """Open the cluster that another process described with `Cluster.describe`. Raises ClusterError."""
    fields = json.loads(description)
    return _kind(fields.pop("kind", None)).reopen(**fields)


def _kind(name: object) -> Kind:
    if not isinstance(name, str) or name not in KINDS:
        raise ClusterError(f"{name!r} is no kind of cluster; known kinds: {', '.join(KINDS)}")
    return KINDS[name]


def _open_local(slots: int, address: str | None) -> Cluster:
    if address is not None:
        raise ClusterError("a local cluster has no address to join")
    return LocalCluster(slots)


def _open_ray(slots: int, address: str | None) -> Cluster:
    # Ray reads these variables when it is imported.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        # The ports of a Ray of our own listen on every address; connections need the token.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    from .ray import RayCluster  # noqa: PLC0415  (takes half a second, and a laptop does not need it)

    with _sigterm_kept():
        return RayCluster.start_ray(slots) if address is None else RayCluster.join(address)


def _reopen_ray(slots: int, host: str | None, refused: list[str]) -> Cluster:
    from .ray import RayCluster  # noqa: PLC0415

    with _sigterm_kept():
        return RayCluster(slots, host, refused=refused)


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, which Ray replaces in the main thread by one that exits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


KINDS = {"local": Kind(_open_local, LocalCluster), "ray": Kind(_open_ray, _reopen_ray)}
