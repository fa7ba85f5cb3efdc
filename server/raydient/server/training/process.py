"""The process around a coordinator that works for a service: its reports go out through an `Outbox`."""

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from raydient.server.clusters.opening import reopen_cluster
from raydient.spec.job import JobSpec
from raydient.spec.patterns import from_texts
from raydient.steps.amendments import Amendment
from raydient.wire import control
from raydient.wire.endpoint import Transport
from raydient.wire.frames import ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.network import Closed, Network

from .checkpoint_files import saved_step
from .history import HISTORY_FILE, History
from .holding import SupersededError, holding
from .initial_weights import KEPT_FILE
from .members import Members
from .outbox import Outbox
from .preparation import prepare
from .reading import prepare_beside
from .reports import Finished
from .shell import MESSAGE_LIMIT, CoordinatorShell
from .storage import Storage
from .watch import Answers

FOLLOW_SECONDS = 60.0
"""A coordinator without a service that follows or pings it ends after this time: the service died before it stored
the address.
"""
LINGER_SECONDS = 3600.0
"""Time for which a coordinator keeps the last reports for a service that is down."""


@dataclass(frozen=True, slots=True)
class CoordinatorLaunch:
    """The arguments of a coordinator.

    Attributes:
        job: the job's id.
        workers, minimum: see `RunRequest`.
        specification: the job's specification in JSON form.
        dataset: paths of its data, see `RunRequest`.
        validation: the same; empty if there is none.
        directory: path, see `RunRequest`.
        cluster: see `Cluster.describe`.
        generation: the coordinator with the highest generation holds the job's folder, see `holding`.
        unix: name of the Unix socket at which the service connects.
        secret: the run's, hexadecimal.
        transport: of weights and gradients.
        amendments: see `RunRequest`.
    """

    job: str
    workers: int
    minimum: int
    specification: dict[str, Any]
    dataset: Sequence[str]
    directory: str
    cluster: str
    generation: int
    unix: str
    secret: str = field(repr=False)
    transport: Transport = Transport.AUTO
    amendments: Sequence[Amendment] = ()
    validation: Sequence[str] = ()


LAUNCH = TypeAdapter(CoordinatorLaunch)


def main(text: str, host: str, node: str) -> None:
    """Run the job of a `CoordinatorLaunch` (JSON) to its end, and stay until the service has all reports."""
    launch = LAUNCH.validate_json(text)
    answers = Answers(launch.unix, bytes.fromhex(launch.secret))
    try:
        _run(launch, host, node, answers)
    except SupersededError as superseded:
        logging.getLogger(__name__).warning("ends because %s", superseded)


def _run(launch: CoordinatorLaunch, host: str, node: str, answers: Answers) -> None:
    secret = bytes.fromhex(launch.secret)
    with (
        holding(Path(launch.directory), launch.generation) as held,
        closing(reopen_cluster(launch.cluster)) as cluster,
        closing(Hub(secret, MESSAGE_LIMIT)) as network,
        closing(History(Path(launch.directory) / HISTORY_FILE, held.check)) as history,
    ):
        endpoint = network.listen(host, launch.unix, node)
        orders: list[control.RunOrder] = []
        outbox = Outbox(network, history, orders.append)
        _end_unless_followed(outbox, answers)
        directory, dataset = Path(launch.directory), from_texts(launch.dataset)
        assert dataset is not None
        spec = JobSpec.model_validate(launch.specification)
        validation = from_texts(launch.validation)
        prepared = prepare_beside(
            lambda: prepare(
                spec,
                dataset,
                validation=validation,
                jobs=directory.parent,
                kept=directory / KEPT_FILE,
                folder=directory,
            ),
            dataset,
            answer=lambda seconds: _answer(network, outbox, seconds),
            orders=orders,
            report=outbox.put,
            step=lambda: saved_step(directory / "checkpoints", launch.job),
            clock=network.now,
        )
        if isinstance(prepared, Finished):
            outbox.put(prepared)
        else:
            members = Members(
                cluster,
                network,
                endpoint,
                job=launch.job,
                secret=secret,
                logs=directory / "logs",
                transport=launch.transport,
                portable=spec.training.numerics.is_portable,
            )
            CoordinatorShell(
                prepared,
                control.Scale(launch.workers, launch.minimum),
                members,
                Storage(prepared, directory, launch.job, history, held.check),
                tell=outbox.put,
                amendments=launch.amendments,
                orders=orders,
                stranger=outbox.hear,
            ).run()
        _linger(network, outbox)


def _end_unless_followed(outbox: Outbox, answers: Answers) -> None:
    def look() -> None:
        while not threading.Event().wait(FOLLOW_SECONDS) and not outbox.followed:
            if not answers.pinged.is_set():
                os._exit(1)
            answers.pinged.clear()

    threading.Thread(target=look, name="followed", daemon=True).start()


def _linger(network: Network, outbox: Outbox) -> None:
    deadline = network.now() + LINGER_SECONDS
    while not outbox.empty and network.now() < deadline:
        _answer(network, outbox, 1.0)


def _answer(network: Network, outbox: Outbox, seconds: float) -> None:
    """Handle the service's messages for at most `seconds`."""
    for connection, frame in network.poll(seconds):
        if isinstance(frame, Closed):
            continue
        try:
            outbox.hear(connection, control.decode(frame).message)
        except ProtocolError:
            network.drop(connection)
