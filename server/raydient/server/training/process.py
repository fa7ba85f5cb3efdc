"""The process around a coordinator that works for a service: its reports go out through an `Outbox`."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from raydient.server.clusters.opening import reopen_cluster
from raydient.spec.errors import InvalidSpec
from raydient.spec.job import JobSpec
from raydient.wire import control
from raydient.wire.connection import Connection
from raydient.wire.endpoint import Transport
from raydient.wire.frames import ProtocolError
from raydient.wire.hub import Closed, Hub

from .execution import MESSAGE_LIMIT, Execution
from .initial_weights import KEPT_FILE
from .outbox import Outbox
from .preparation import prepare
from .reports import Finished, Outcome

FOLLOW_SECONDS = 60.0
"""A coordinator that no service asks for within this time ends: its service died before it noted where to find it."""
LINGER_SECONDS = 3600.0
"""How long a coordinator keeps the last reports for a service that is away."""


@dataclass(frozen=True, slots=True)
class CoordinatorLaunch:
    """What a coordinator is told.

    Attributes:
        job: the job's id.
        workers, minimum: see `RunRequest`.
        specification: of the job, in JSON form.
        dataset, directory: paths, see `RunRequest`.
        cluster: see `Cluster.describe`.
        unix: name of the Unix socket where the service will look for it.
        secret: the run's, hexadecimal.
        transport: of weights and gradients.
    """

    job: str
    workers: int
    minimum: int
    specification: dict[str, Any]
    dataset: str
    directory: str
    cluster: str
    unix: str
    secret: str = field(repr=False)
    transport: Transport = Transport.AUTO


LAUNCH = TypeAdapter(CoordinatorLaunch)


def main(told: str, host: str, node: str) -> None:
    """Run a job to its end and stay until the service has all reports."""
    launch = LAUNCH.validate_json(told)
    secret = bytes.fromhex(launch.secret)
    with (
        _alone(Path(launch.directory)),
        closing(reopen_cluster(launch.cluster)) as cluster,
        closing(Hub(secret, MESSAGE_LIMIT)) as hub,
    ):
        endpoint = hub.listen(host, launch.unix, node)
        orders: list[control.Command | control.Scale] = []
        outbox = Outbox(hub, orders.append)
        _end_unless_followed(outbox)
        try:
            directory, spec = Path(launch.directory), JobSpec.model_validate(launch.specification)
            prepared = prepare(spec, Path(launch.dataset), jobs=directory.parent, kept=directory / KEPT_FILE)
        except InvalidSpec as invalid:
            # The service has checked this before; data that changed since then for one.
            outbox.put(Finished(Outcome.FAILED, 0, "", "INVALID_SPEC", "; ".join(map(str, invalid.errors))))
        else:
            execution = Execution(
                prepared,
                job=launch.job,
                workers=launch.workers,
                minimum=launch.minimum,
                directory=directory,
                cluster=cluster,
                hub=hub,
                endpoint=endpoint,
                secret=secret,
                tell=outbox.put,
                transport=launch.transport,
                stranger=outbox.hear,
                orders=orders,
            )
            execution.run()
        _linger(hub, outbox)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold a job's directory: a coordinator that its service has lost sight of may still be at work there."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _end_unless_followed(outbox: Outbox) -> None:
    def look() -> None:
        if not outbox.followed:
            os._exit(1)

    watch = threading.Timer(FOLLOW_SECONDS, look)
    watch.daemon = True
    watch.start()


def _linger(hub: Hub, outbox: Outbox) -> None:
    deadline = time.monotonic() + LINGER_SECONDS
    while not outbox.empty and time.monotonic() < deadline:
        for connection, frame in hub.poll(1.0):
            if not isinstance(frame, Closed):
                _hear(hub, outbox, connection, frame)


def _hear(hub: Hub, outbox: Outbox, connection: Connection, frame: Any) -> None:
    try:
        outbox.hear(connection, control.decode(frame).message)
    except ProtocolError:
        hub.drop(connection)
