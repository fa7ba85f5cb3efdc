"""The exporter: serves `/metrics` over HTTP and measures the duration of API calls."""

import os

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
from .endpoint import Endpoint

RPC_SECONDS = (
    "raydient_rpc_seconds",
    "Time to answer a call; for `WatchTrainingJob` the length of the watch.",
    ("method", "code"),
)
"""Name, help and labels of the histogram of API calls, the only metric that the tables of families do not have."""
RPC_SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Exporter:
    """Serves `/metrics` from a registry of its own, on a thread of its own, until `close`."""

    def __init__(self, host: str, port: int, collector: JobCollector) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self._rpc = Histogram(*RPC_SECONDS, registry=registry, buckets=RPC_SECONDS_BUCKETS)
        try:
            # Always the plain text format, because OpenMetrics takes twice the time for the same series.
            self._endpoint = Endpoint(host, port, CONTENT_TYPE_PLAIN_0_0_4, lambda: generate_latest(registry))
        except OSError as error:
            reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
            raise StartError(f"cannot serve metrics on {host}:{port}: {reason}") from error
        self.port = self._endpoint.port

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """Add the duration of a call that was answered with the gRPC status `code`."""
        self._rpc.labels(method, code).observe(seconds)

    def close(self) -> None:
        """Stop serving."""
        self._endpoint.close()
