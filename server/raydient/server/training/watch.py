"""Pings between a service and a coordinator: the sockets and threads around `Liveness`."""

import contextlib
import threading
import time
from collections.abc import Callable

from raydient.wire import control
from raydient.wire.connection import Connection, limited_to
from raydient.wire.endpoint import Endpoint, Transport, dial
from raydient.wire.frames import ProtocolError
from raydient.wire.hub import Hub
from raydient.wire.lifeline import PING_LIMIT
from raydient.wire.network import Closed

from .liveness import LOOK_SECONDS, Liveness


def pulse_endpoint(unix: str) -> Endpoint:
    """Return the endpoint at which the coordinator with the Unix socket `unix` answers pings."""
    return Endpoint(f"{unix}-pulse", "", 0)


class Watch:
    """Pings a coordinator from a separate thread, until `close`.

    Attributes:
        over: set when the coordinator counts as stopped or the watch is closed.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        secret: bytes,
        stopped: Callable[[str], None],
        *,
        started: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the thread.

        Args:
            endpoint: see `pulse_endpoint`.
            secret: the run's secret.
            stopped: called at most once, from the thread, with a text that contains the time without an answer.
            started: whether the coordinator has answered an earlier service.
            clock: monotonic seconds.
        """
        self._endpoint, self._secret, self._stopped = endpoint, secret, stopped
        self._liveness = Liveness(clock, started=started)
        self._connection: Connection | None = None
        self._pings = 0
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="run-watch", daemon=True)
        self._thread.start()

    def started(self) -> None:
        """Note that the coordinator has started, before it answers a ping. From any thread."""
        self._liveness.started()

    def order(self) -> None:
        """Note that an order was sent: the shorter limit holds until the coordinator answers. From any thread."""
        self._liveness.order()

    def close(self) -> None:
        """End the watch, from another thread or from `stopped`. Harmless when repeated."""
        self.over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self.over.wait(LOOK_SECONDS):
                if self._ask():
                    self._liveness.answered()
                if self._liveness.look():
                    self._stopped(f"no answer for {self._liveness.silence:.0f} seconds")
                    self.over.set()
        finally:
            self._drop()

    def _ask(self) -> bool:
        """Send a ping. Return True if it is answered within about LOOK_SECONDS."""
        try:
            if self._connection is None:
                self._connection = dial(
                    self._endpoint, self._secret, Transport.SHARED_MEMORY, timeout_seconds=LOOK_SECONDS
                )
                self._connection.allocate = limited_to(PING_LIMIT)
                self._connection.socket.settimeout(LOOK_SECONDS)
            self._pings += 1
            control.send(self._connection, control.Ping(self._pings))
            while control.receive(self._connection).message != control.Pong(self._pings):
                pass  # a late answer to an earlier ping
        except TimeoutError:
            return False
        except OSError:
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Answers:
    """Answers the pings of a service from a separate thread until this process ends.

    Attributes:
        pinged: set by each ping; the caller clears it.
    """

    def __init__(self, unix: str, secret: bytes) -> None:
        self.pinged = threading.Event()
        self._hub = Hub(secret, PING_LIMIT)
        self._hub.listen("", pulse_endpoint(unix).unix)
        threading.Thread(target=self._run, name="answers", daemon=True).start()

    def _run(self) -> None:
        while True:
            for connection, frame in self._hub.poll(None):
                if isinstance(frame, Closed):
                    continue
                with contextlib.suppress(ProtocolError):
                    message = control.decode(frame).message
                    if isinstance(message, control.Ping):
                        self.pinged.set()
                        with self._hub.sending(connection):
                            control.send(connection, control.Pong(message.number))
