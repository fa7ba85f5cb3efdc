"""Runs of jobs, as the service sees them: one coordinator process and one following thread each.

This is the one door between jobs/ and training/.
"""

import logging
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from raydient.server.clusters.cluster import Cluster, Process
from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath, to_texts
from raydient.steps.amendments import Amendment
from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.endpoint import Transport, listens, new_unix_name
from raydient.wire.handshake import new_secret
from raydient.wire.hub import Hub
from raydient.wire.network import Network

from .address import Address
from .holding import end_holder, next_generation
from .process import LAUNCH, CoordinatorLaunch
from .reports import EpochEnded, NumberedReport, WentBack, from_json
from .watch import Watch, pulse_endpoint

DIAL_SECONDS = 30.0
"""Time limit of one attempt to connect to a coordinator, which may be busy reading data; repeated while it lives."""
RETRY_SECONDS = 0.02
END_SECONDS = 10.0
"""Time that a coordinator may take to end after its last report."""
REPORTS_LIMIT = 16 << 20
"""Maximum bytes of a batch of reports; see `outbox.BATCH_BYTES`."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The arguments for a run of a job.

    Attributes:
        job: the job's id.
        workers, minimum: number of workers to start, and number below which training is suspended after a grace period.
        spec: its specification, validated.
        dataset: the data files on this machine.
        validation: those of `dataset.validation.uri`, if there are any.
        directory: the job's folder for checkpoints and model; created if absent. If it holds a checkpoint, the run
            starts from it.
        epochs: number of the newest epoch that the service has; the run reports only newer ones.
        amendments: all amendments of the specification, in order.
    """

    job: str
    workers: int
    minimum: int
    spec: JobSpec
    dataset: DataPath
    directory: Path
    epochs: int = 0
    amendments: Sequence[Amendment] = ()
    validation: DataPath | None = None


class RunListener(Protocol):
    """Receives the reports of a run. Called from one thread of the run's own, one call at a time, in order."""

    def report(self, reports: Sequence[NumberedReport]) -> None:
        """Store reports in this order, all or none; they are durable on return and are not sent again.

        A `Finished` may be followed by epochs that it overtook, in this call or a later one. After a restart of the
        service reports may come a second time.
        """

    def lost(self, reason: str) -> None:
        """Handle the end of a coordinator that has not sent all reports. Called at most once, as the last call."""


class Run:
    """A coordinator at work, and the thread that follows it. Its methods may be called from any thread."""

    def __init__(
        self,
        address: Address,
        network: Network,
        have: control.Follow,
        *,
        directory: Path,
        listener: RunListener,
        process: Process | None,
    ) -> None:
        """Start the thread.

        Args:
            address: where the coordinator listens.
            network, have: dials the coordinator, by the thread alone; the newest report and epoch that the service has.
            directory: the job's folder.
            listener: receives the reports.
            process: the coordinator's process; None if an earlier service started it.
        """
        self._address, self._network, self._have = address, network, have
        self._directory, self._listener, self._process = directory, listener, process
        self._stopped = ""  # why this service killed it
        self._detached = False
        self._watch = Watch(pulse_endpoint(address.unix), address.secret, self._end_stopped, started=process is None)
        self._sending = threading.Lock()  # guards the two below; the thread alone receives
        self._connection: Connection | None = None
        self._unsent: dict[str, control.RunOrder] = {}  # by kind, before there is a connection
        self._thread = threading.Thread(target=self._run, name="run", daemon=True)
        self._thread.start()

    @property
    def attachment(self) -> str:
        """Opaque text, secret, by which a later service finds this run again; see `Runner.attach`."""
        return self._address.to_json()

    def cancel(self) -> None:
        """End the run for good; `Finished(CANCELLED)` follows. Does not block; harmless when repeated."""
        self._command(control.Command(control.Order.CANCEL))

    def pause(self) -> None:
        """End the run after a checkpoint; `Finished(PAUSED)` follows. Does not block; harmless when repeated."""
        self._command(control.Command(control.Order.PAUSE))

    def scale(self, workers: int, minimum: int) -> None:
        """Request this number of workers from now on, see `RunRequest`. Does not block; harmless when repeated."""
        self._command(control.Scale(workers, minimum))

    def amend(self, amendment: Amendment) -> None:
        """Have an amendment of the job take effect. Does not block; harmless when repeated."""
        self._command(control.Amend(amendment))

    def detach(self) -> None:
        """Stop following the run and leave it running for a later service to attach to. Only if `Runner.detaches`.

        Waits for the last call to the listener to return. `join` returns True then.
        """
        with self._sending:
            self._detached = True
            if self._process is not None:
                self._process.detach()
        self._let_go()
        self.join(END_SECONDS)

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the last call to the listener to return and all processes to end; False if it takes longer."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _command(self, order: control.RunOrder) -> None:
        self._watch.order()
        with self._sending:
            if self._connection is not None:
                self._send(order)
            else:
                self._unsent[_key(order)] = order

    def _send(self, message: control.Message) -> None:
        assert self._connection is not None
        try:
            control.send(self._connection, message)
        except OSError:
            self._connection.close()  # the thread notices

    def _end_stopped(self, why: str) -> None:
        """Kill the coordinator, which does not answer. Its members and its connection end with it."""
        self._stopped = f"the coordinator was stopped: {why}"
        try:
            end_holder(self._directory)
            if self._process is not None:
                self._process.kill()
        finally:
            self._let_go()  # even if the coordinator could not be ended

    def _let_go(self) -> None:
        """Make the thread stop listening."""
        self._watch.over.set()
        connection = self._connection
        if connection is not None:
            connection.interrupt()

    def _run(self) -> None:
        with closing(self._network):
            self._follow()

    def _follow(self) -> None:
        why = "the coordinator does not answer"
        finished = False
        try:
            connection = self._connect()
            if connection is not None:
                connection.allocate = limited_to(REPORTS_LIMIT)
                self._watch.started()
                finished = self._listen(connection)
        except (OSError, ValueError) as error:
            why = str(error)
        except Exception as error:  # of the cluster or the listener; a job that nothing follows would run for ever
            _log.exception("a coordinator cannot be followed any more")
            why = f"it could not be followed any more: {type(error).__name__}"
        finally:
            with self._sending:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
        self._watch.close()
        if self._detached:
            return
        how = self._see_off(finished)
        if not finished:
            self._listener.lost(self._stopped or how or why)

    def _connect(self) -> Connection | None:
        while not self._watch.over.is_set() and (self._process is None or self._process.ended() is None):
            try:
                return self._network.dial(self._address.endpoint, Transport.SHARED_MEMORY, timeout_seconds=DIAL_SECONDS)
            except TimeoutError:
                continue
            except (FileNotFoundError, ConnectionRefusedError):
                if self._process is None:
                    break
                self._wait()
        return None

    def _listen(self, connection: Connection) -> bool:
        """Pass reports to the listener until the last ones. ConnectionError if the coordinator ends before that."""
        with self._sending:
            self._connection = connection
            if self._watch.over.is_set():
                return False
            self._send(self._have)
            for order in self._unsent.values():
                self._send(order)
        while True:
            message = control.receive(connection).message
            if not isinstance(message, control.Reports):
                continue
            reports = [NumberedReport(report.number, from_json(report.report)) for report in message.reports]
            self._listener.report(reports)
            for numbered in reports:
                self._have = have_after(self._have, numbered)
            with self._sending:
                self._send(control.Acknowledge(self._have.after, self._have.epoch))
            if message.last:
                return True

    def _see_off(self, finished: bool) -> str | None:
        """Wait for the process to end, then kill it. Return how it ended, if there is one and it ended by itself."""
        if self._process is None:
            return None
        deadline = self._network.now() + (END_SECONDS if finished else 1.0)
        while (how := self._process.ended()) is None and self._network.now() < deadline:
            self._wait()
        self._process.kill()
        return how

    def _wait(self) -> None:
        for _ in self._network.poll(RETRY_SECONDS):
            raise AssertionError("nothing dials a service")


def have_after(have: control.Follow, numbered: NumberedReport) -> control.Follow:
    """Return what the service has with one more report."""
    number, report = numbered
    match report:
        case EpochEnded(epoch=epoch):
            return control.Follow(have.after, max(have.epoch, epoch))
        case WentBack():
            return control.Follow(max(have.after, number), min(have.epoch, report.epoch))
    return control.Follow(max(have.after, number), have.epoch)


def _key(order: control.RunOrder) -> str:
    """Return the key of an order; a later one with the same key takes its place."""
    match order:
        case control.Command(order=kind):
            return kind
        case control.Amend(amendment=amendment):
            return f"amendment {amendment.number}"
        case control.Scale():
            return "scale"


class Runner:
    """Starts runs on one cluster."""

    def __init__(self, cluster: Cluster, transport: Transport = Transport.AUTO) -> None:
        self._cluster, self._transport = cluster, transport

    @property
    def slots(self) -> int:
        """Worker processes that the cluster can hold in all, whichever run holds them now."""
        return self._cluster.slots

    @property
    def detaches(self) -> bool:
        """True if runs can go on without this service, see `Run.detach`."""
        return self._cluster.detaches

    @property
    def reserves(self) -> bool:
        """True if the room for a run's minimum stays reserved until the run ends, even if it is scaled below that."""
        return self._cluster.reserves

    def start(self, request: RunRequest, listener: RunListener) -> Run:
        """Start a coordinator and return at once."""
        address = Address(new_unix_name(), new_secret())
        launch = CoordinatorLaunch(
            job=request.job,
            workers=request.workers,
            minimum=request.minimum,
            specification=request.spec.canonical(),
            dataset=to_texts(request.dataset),
            directory=str(request.directory),
            cluster=self._cluster.describe(),
            generation=next_generation(request.directory),
            unix=address.unix,
            secret=address.secret.hex(),
            transport=self._transport,
            amendments=request.amendments,
            validation=to_texts(request.validation),
        )
        log = request.directory / "logs" / "coordinator.log"
        process = self._cluster.start(
            control.Role.COORDINATOR,
            LAUNCH.dump_json(launch).decode(),
            log,
            portable=request.spec.training.numerics.is_portable,
        )
        return self._follow(request, address, 0, listener, process)

    def attach(self, request: RunRequest, attachment: str, after: int, listener: RunListener) -> Run | None:
        """Follow a run that an earlier service started, from report `after` + 1 on; None if the run has ended."""
        address = Address.from_json(attachment)
        if not listens(address.unix):
            end_holder(request.directory)  # the coordinator is about to end; if it is frozen, this kills it
            return None
        return self._follow(request, address, after, listener, None)

    def _follow(
        self, request: RunRequest, address: Address, after: int, listener: RunListener, process: Process | None
    ) -> Run:
        network, have = Hub(address.secret, REPORTS_LIMIT), control.Follow(after, request.epochs)
        return Run(address, network, have, directory=request.directory, listener=listener, process=process)

    def close(self) -> None:
        """Leave the cluster. Runs must have been joined or detached before; others are ended."""
        self._cluster.close()
