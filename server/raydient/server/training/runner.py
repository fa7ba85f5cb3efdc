"""Runs on a cluster, as the service sees them: one coordinator process and one following thread each."""

import json
import threading
import time

from raydient.server.clusters.cluster import Cluster, Process
from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.endpoint import Endpoint, Transport, dial, new_unix_name
from raydient.wire.handshake import new_secret

from .process import LAUNCH, CoordinatorLaunch
from .reports import Finished, from_json
from .runs import RunListener, RunRequest

CONNECT_SECONDS = 120.0
"""How long a coordinator may take to start and listen."""
RETRY_SECONDS = 0.02
END_SECONDS = 10.0
"""How long it may take to end after its last report."""
REPORT_LIMIT = 1 << 20


class CoordinatorRunner:
    """Starts coordinators on a cluster and follows them."""

    def __init__(self, cluster: Cluster, transport: Transport = Transport.AUTO) -> None:
        self._cluster, self._transport = cluster, transport

    @property
    def slots(self) -> int:
        return self._cluster.slots

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
            unix=unix,
            secret=secret.hex(),
            transport=self._transport,
        )
        log = request.directory / "logs" / "coordinator.log"
        process = self._cluster.start(control.Role.COORDINATOR, LAUNCH.dump_json(launch).decode(), log)
        return CoordinatorRun(unix, secret, 0, listener=listener, process=process)

    def attach(
        self, request: RunRequest, attachment: str, after: int, listener: RunListener
    ) -> "CoordinatorRun | None":
        told = json.loads(attachment)
        unix, secret = told["unix"], bytes.fromhex(told["secret"])
        try:
            connection = dial(_endpoint(unix), secret, Transport.SHARED_MEMORY)
        except OSError:
            return None
        return CoordinatorRun(unix, secret, after, listener=listener, process=None, connection=connection)

    def close(self) -> None:
        self._cluster.close()


def _endpoint(unix: str) -> Endpoint:
    """A coordinator sits on its service's machine, so that this suffices."""
    return Endpoint(unix, "", 0)


class CoordinatorRun:
    """A coordinator and the thread that follows it."""

    def __init__(
        self,
        unix: str,
        secret: bytes,
        after: int,
        *,
        listener: RunListener,
        process: Process | None,
        connection: Connection | None = None,
    ) -> None:
        """`process` is None for a run of an earlier service, whose `connection` is open already."""
        self._unix, self._secret, self._after = unix, secret, after
        self._listener, self._process = listener, process
        self._sending = threading.Lock()  # guards the two below; the thread alone receives
        self._connection: Connection | None = None
        self._unsent: list[control.Message] = []  # before there is a connection
        self._thread = threading.Thread(target=self._follow, args=(connection,), name="run", daemon=True)
        self._thread.start()

    @property
    def attachment(self) -> str:
        return json.dumps({"unix": self._unix, "secret": self._secret.hex()})

    def cancel(self) -> None:
        self._command(control.Command(control.Order.CANCEL))

    def interrupt(self) -> None:
        self._command(control.Command(control.Order.INTERRUPT))

    def scale(self, workers: int, minimum: int) -> None:
        self._command(control.Scale(workers, minimum))

    def join(self, timeout_seconds: float) -> bool:
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _command(self, order: control.Message) -> None:
        with self._sending:
            if self._connection is not None:
                self._send(order)
            else:
                self._unsent.append(order)

    def _send(self, message: control.Message) -> None:
        assert self._connection is not None
        try:
            control.send(self._connection, message)
        except OSError:
            self._connection.close()  # the thread notices

    def _follow(self, connection: Connection | None) -> None:
        why = "the coordinator does not answer"
        finished = False
        try:
            connection = connection or self._connect()
            if connection is not None:
                connection.allocate = limited_to(REPORT_LIMIT)
                finished = self._listen(connection)
        except (OSError, ValueError) as error:
            why = str(error)
        finally:
            with self._sending:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
        how = self._end(finished)
        if not finished:
            self._listener.lost(how or why)

    def _connect(self) -> Connection | None:
        assert self._process is not None
        deadline = time.monotonic() + CONNECT_SECONDS
        while self._process.ended() is None and time.monotonic() < deadline:
            try:
                return dial(_endpoint(self._unix), self._secret, Transport.SHARED_MEMORY)
            except (FileNotFoundError, ConnectionRefusedError):
                threading.Event().wait(RETRY_SECONDS)
        return None

    def _listen(self, connection: Connection) -> bool:
        """Hand over reports until the last one; ConnectionError if the coordinator is gone before that."""
        with self._sending:
            self._connection = connection
            self._send(control.Follow(self._after))
            for order in self._unsent:
                self._send(order)
        while True:
            message = control.receive(connection).message
            if not isinstance(message, control.Numbered):
                continue
            report = from_json(message.report)
            self._listener.report(message.number, report)
            with self._sending:
                self._send(control.Acknowledge(message.number))
            if isinstance(report, Finished):
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
