"""Runs on a cluster, as the service sees them: one coordinator process and one following thread each."""

import json
import logging
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from raydient.server.clusters.cluster import Cluster, Process
from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.endpoint import Endpoint, Transport, dial, listens, new_unix_name
from raydient.wire.handshake import new_secret

from .holding import end_holder, next_generation
from .process import LAUNCH, CoordinatorLaunch
from .reports import EpochEnded, NumberedReport, from_json
from .runs import RunListener, RunRequest
from .watch import Watch, pulse_endpoint

DIAL_SECONDS = 30.0
"""Time limit of one attempt to connect to a coordinator, which may be busy reading data; repeated while it lives."""
RETRY_SECONDS = 0.02
END_SECONDS = 10.0
"""Time that a coordinator may take to end after its last report."""
REPORTS_LIMIT = 16 << 20
"""Maximum bytes of a batch of reports; see `outbox.BATCH_BYTES`."""
_log = logging.getLogger(__name__)


class CoordinatorRunner:
    """Starts coordinators on a cluster and follows them."""

    def __init__(self, cluster: Cluster, transport: Transport = Transport.AUTO) -> None:
        self._cluster, self._transport = cluster, transport

    @property
    def slots(self) -> int:
        return self._cluster.slots

    @property
    def detaches(self) -> bool:
        return self._cluster.detaches

    @property
    def reserves(self) -> bool:
        return self._cluster.reserves

    def start(self, request: RunRequest, listener: RunListener) -> "CoordinatorRun":
        secret, unix = new_secret(), new_unix_name()
        launch = CoordinatorLaunch(
            job=request.job,
            workers=request.workers,
            minimum=request.minimum,
            specification=request.spec.canonical(),
            dataset=str(request.dataset),
            directory=str(request.directory),
            cluster=self._cluster.describe(),
            generation=next_generation(request.directory),
            unix=unix,
            secret=secret.hex(),
            transport=self._transport,
        )
        log = request.directory / "logs" / "coordinator.log"
        process = self._cluster.start(control.Role.COORDINATOR, LAUNCH.dump_json(launch).decode(), log)
        have = control.Follow(0, request.epochs)
        return CoordinatorRun(unix, secret, have, directory=request.directory, listener=listener, process=process)

    def attach(
        self, request: RunRequest, attachment: str, after: int, listener: RunListener
    ) -> "CoordinatorRun | None":
        address = json.loads(attachment)
        unix, secret = address["unix"], bytes.fromhex(address["secret"])
        if not listens(unix):
            end_holder(request.directory)  # the coordinator is about to end; if it is frozen, this kills it
            return None
        have = control.Follow(after, request.epochs)
        return CoordinatorRun(unix, secret, have, directory=request.directory, listener=listener, process=None)

    def close(self) -> None:
        self._cluster.close()


def _endpoint(unix: str) -> Endpoint:
    """The endpoint of a coordinator, which always runs on its service's machine."""
    return Endpoint(unix, "", 0)


class CoordinatorRun:
    """A coordinator and the thread that follows it."""

    def __init__(
        self,
        unix: str,
        secret: bytes,
        have: control.Follow,
        *,
        directory: Path,
        listener: RunListener,
        process: Process | None,
    ) -> None:
        """Start the thread. `have` says what the service has; `process` is None for a run of an earlier service."""
        self._unix, self._secret, self._have = unix, secret, have
        self._directory, self._listener, self._process = directory, listener, process
        self._stopped = ""  # why this service killed it
        self._detached = False
        self._watch = Watch(pulse_endpoint(unix), secret, self._end_stopped, started=process is None)
        self._sending = threading.Lock()  # guards the two below; the thread alone receives
        self._connection: Connection | None = None
        self._unsent: dict[str, control.Command | control.Scale] = {}  # by kind, before there is a connection
        self._thread = threading.Thread(target=self._follow, name="run", daemon=True)
        self._thread.start()

    @property
    def attachment(self) -> str:
        return json.dumps({"unix": self._unix, "secret": self._secret.hex()})

    def cancel(self) -> None:
        self._command(control.Command(control.Order.CANCEL))

    def pause(self) -> None:
        self._command(control.Command(control.Order.PAUSE))

    def scale(self, workers: int, minimum: int) -> None:
        self._command(control.Scale(workers, minimum))

    def detach(self) -> None:
        with self._sending:
            self._detached = True
            if self._process is not None:
                self._process.detach()
        self._let_go()
        self.join(END_SECONDS)

    def join(self, timeout_seconds: float) -> bool:
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _command(self, order: control.Command | control.Scale) -> None:
        self._watch.order()
        with self._sending:
            if self._connection is not None:
                self._send(order)
            else:
                self._unsent[order.order if isinstance(order, control.Command) else "scale"] = order

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
            self._let_go()  # it may be that it could not be ended

    def _let_go(self) -> None:
        """Have the thread listen no longer, whatever it waits for."""
        self._watch.over.set()
        connection = self._connection
        if connection is not None:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

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
        how = self._end(finished)
        if not finished:
            self._listener.lost(self._stopped or how or why)

    def _connect(self) -> Connection | None:
        while not self._watch.over.is_set() and (self._process is None or self._process.ended() is None):
            try:
                return dial(_endpoint(self._unix), self._secret, Transport.SHARED_MEMORY, timeout_seconds=DIAL_SECONDS)
            except TimeoutError:
                continue
            except (FileNotFoundError, ConnectionRefusedError):
                if self._process is None:
                    break
                self._watch.over.wait(RETRY_SECONDS)
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
            number = max((report.number for report in reports), default=0)
            epoch = max((report.report.epoch for report in reports if isinstance(report.report, EpochEnded)), default=0)
            with self._sending:
                self._send(control.Acknowledge(number, epoch))
            if message.last:
                return True

    def _end(self, finished: bool) -> str | None:
        """See the process off; how it ended, if it did by itself and there is one."""
        if self._process is None:
            return None
        deadline = time.monotonic() + (END_SECONDS if finished else 1.0)
        while (how := self._process.ended()) is None and time.monotonic() < deadline:
            threading.Event().wait(RETRY_SECONDS)
        self._process.kill()
        return how
