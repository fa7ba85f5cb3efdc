"""One channel to the service. Every call goes through here: errors, tokens and time limits are treated alike."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from raydient.v1.dataset_service_pb2_grpc import DatasetServiceStub
from raydient.v1.model_service_pb2_grpc import ModelServiceStub
from raydient.v1.training_service_pb2_grpc import TrainingServiceStub

from .errors import Unreachable, error_of

CALL_SECONDS = 30.0
RECONNECT_SECONDS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between attempts to go on with a stream that broke; after the last one the client gives up."""

# Calls that may be made twice without harm. Create bears a request id: a repetition is answered with the same job.
IDEMPOTENT = {
    "raydient.v1.TrainingService": (
        "CreateTrainingJob",
        "GetTrainingJob",
        "ListTrainingJobs",
        "CancelTrainingJob",
        "ListMetrics",
    ),
    "raydient.v1.DatasetService": ("GetDataset", "ListDatasets"),
    "raydient.v1.ModelService": ("ListCheckpoints", "GetModel", "Predict"),
}


def service_config() -> str:
    """Retries: UNAVAILABLE only, idempotent calls only."""
    names = [{"service": service, "method": method} for service, methods in IDEMPOTENT.items() for method in methods]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": policy}]})


def open_channel(address: str, certificate_authority: Path | None = None, *, tls: bool = False) -> grpc.Channel:
    """A channel; encrypted if asked for or if a certificate authority is named. Connects at the first call."""
    options = [("grpc.service_config", service_config()), ("grpc.enable_retries", 1)]
    if not tls and certificate_authority is None:
        return grpc.insecure_channel(address, options)
    roots = certificate_authority.read_bytes() if certificate_authority is not None else None
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options)


class Connection:
    """Stubs of the three services, and how they are called. Safe to use from several threads."""

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        token: str | None = None,
        *,
        sleep: Callable[[float], None],
    ) -> None:
        self.address = address
        self.training = TrainingServiceStub(channel)
        self.datasets = DatasetServiceStub(channel)
        self.models = ModelServiceStub(channel)
        self.sleep = sleep
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, method: Any, request: Any, seconds: float | None = CALL_SECONDS) -> Any:
        """One answer. Blocks until it is there; None waits without limit."""
        try:
            return method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of(error, self.address) from error

    def stream(self, method: Any, request: Any) -> Iterator[Any]:
        """Answers as they come. Blocks between them; closing the iterator ends the call."""
        call = method(request, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise error_of(error, self.address) from error
        finally:
            call.cancel()

    def pages(self, method: Any, request: Any, items: str) -> Iterator[Any]:
        """Every item of every page of a list."""
        while True:
            page = self.call(method, request)
            yield from getattr(page, items)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def close(self) -> None:
        """Ends every call."""
        self._channel.close()


class Attempts:
    """How often a broken stream is taken up again: every success starts the pauses from the first one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._broken = 0

    def succeeded(self) -> None:
        """Something arrived."""
        self._broken = 0

    def pause_after(self, error: Unreachable) -> None:
        """Wait before the next attempt, or raise `error` if there have been enough of them."""
        if self._broken == len(RECONNECT_SECONDS):
            raise error
        self._connection.sleep(RECONNECT_SECONDS[self._broken])
        self._broken += 1
