"""An HTTP server for scrapes: one thread, few connections, one request and a limited time for each."""

import asyncio
import gzip
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

CONNECTIONS = 32
"""Maximum number of open connections; a further one closes the oldest."""
CONNECTION_SECONDS = 15.0
"""Time from the connection to the last byte of the answer; Prometheus gives up after 10 s by default."""
HEAD_BYTES = 16 << 10
END_OF_HEAD = b"\r\n\r\n"
PAUSE_SECONDS = 1.0
"""Pause before the next connection is accepted after an accept has failed."""
log = logging.getLogger(__name__)


class Endpoint:
    """Serves the result of `render` for a GET request of any path, until `close`.

    `render` is called on the endpoint's thread. Answers are lightly compressed if the client accepts gzip. Raises
    OSError if the port cannot be opened.
    """

    def __init__(
        self,
        host: str,
        port: int,
        content_type: str,
        render: Callable[[], bytes],
        *,
        connections: int = CONNECTIONS,
        connection_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        self._content_type = content_type
        self._render = render
        self._limit = connections
        self._seconds = connection_seconds
        self._open: dict[asyncio.Task[None], None] = {}  # oldest first
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="metrics")
        self._thread.start()

    def close(self) -> None:
        """Stop serving and close the connections."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._listen()
        await self._stopped.wait()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listen(self) -> None:
        if not self._stopped.is_set():
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):  # the client has disconnected already
            return
        except OSError as error:  # for example, no file descriptor is free
            log.warning("a connection for scrapes cannot be accepted: %s", error)
            self._loop.remove_reader(self._socket)
            self._loop.call_later(PAUSE_SECONDS, self._listen)
            return
        connection.setblocking(False)
        if len(self._open) >= self._limit:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        task = self._loop.create_task(self._answer(connection))
        self._open[task] = None
        task.add_done_callback(partial(self._end, connection))

    def _end(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        connection.close()

    async def _answer(self, connection: socket.socket) -> None:
        head = b""
        # TimeoutError: the client is too slow. OSError: it has disconnected.
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(self._seconds):
                while END_OF_HEAD not in head:
                    more = await self._loop.sock_recv(connection, HEAD_BYTES)
                    head += more
                    if not more or len(head) > HEAD_BYTES:
                        return
                await self._loop.sock_sendall(connection, self._response(head))

    def _response(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        if method != b"GET":
            return _message("405 Method Not Allowed", [("Allow", "GET")])
        try:
            body = self._render()
        except Exception:
            log.exception("a scrape failed")
            return _message("500 Internal Server Error", [])
        headers = [("Content-Type", self._content_type)]
        if _accepts_gzip(rest):
            body = gzip.compress(body, compresslevel=1)
            headers.append(("Content-Encoding", "gzip"))
        return _message("200 OK", headers, body)


def _accepts_gzip(head: bytes) -> bool:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"accept-encoding":
            return b"gzip" in value.lower()
    return False


def _message(status: str, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body
