"""`/metrics` over HTTP, and how long calls took."""

import gzip
import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from raydient.server.errors import StartError

from .collector import JobCollector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

POLL_SECONDS = 0.1
"""The exporter's thread notices so soon that it is to stop."""
RPC_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def _application(registry: CollectorRegistry) -> "WSGIApplication":
    """Answers with the text format, whatever else was asked for, and compresses lightly: Prometheus reads it as well.

    The library's own application answers Prometheus with OpenMetrics under the strongest compression, which takes twice
    the time for the same series.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> list[bytes]:
        if environ["REQUEST_METHOD"] != "GET":
            start_response("405 Method Not Allowed", [("Allow", "GET"), ("Content-Length", "0")])
            return []
        body, headers = generate_latest(registry), [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)]
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            body = gzip.compress(body, compresslevel=1)
            headers.append(("Content-Encoding", "gzip"))
        start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    """A slow scrape holds up neither another one nor the end."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Without the base class's question to the DNS, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    """Writes no log of scrapes."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the base class's)
        """Nothing."""


class Exporter:
    """Serves `/metrics` from a registry of its own, on a thread of its own, until `close`."""

    def __init__(self, host: str, port: int, collector: JobCollector) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._rpc = Histogram(
            "raydient_rpc_seconds",
            "Time to answer a call.",
            ["method", "code"],
            registry=registry,
            buckets=RPC_SECONDS_BUCKETS,
        )
        try:
            self._server = make_server(host, port, _application(registry), _Server, _Handler)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartError(f"cannot serve metrics on {host}:{port}: {reason}") from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), name="metrics")
        self._thread.start()

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """A call was answered."""
        self._rpc.labels(method, code).observe(seconds)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
