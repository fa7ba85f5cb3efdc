"""One channel to the service: errors, tokens, deadlines and retries of every call."""

import json
import random
import time
from collections.abc import Callable, Iterator
from copy import copy
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import grpc

from raydient.chunks import serialized
from raydient.v1.dataset_service_pb2 import Dataset
from raydient.v1.dataset_service_pb2_grpc import DatasetServiceStub
from raydient.v1.model_service_pb2_grpc import ModelServiceStub
from raydient.v1.training_service_pb2_grpc import TrainingServiceStub

from .errors import NotPermitted, TimedOut, Unreachable
from .reaching import is_loopback
from .status import error_of

CALL_SECONDS = 30.0
RETRY_PAUSES = (0.5, 1.0, 2.0)
"""Pauses in seconds between attempts at a call, after gRPC's own retries; the last one repeats."""
RECONNECT_SECONDS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Pauses between attempts to go on with a stream that broke; after the last one the client gives up."""

# Idempotent calls. Create carries a request id, so that a repetition returns the same job. Resume and Delete are not
# idempotent: the second call fails after the first has succeeded.
IDEMPOTENT = {
    "raydient.v1.TrainingService": (
        "CreateTrainingJob",
        "GetTrainingJob",
        "ListTrainingJobs",
        "CancelTrainingJob",
        "PauseTrainingJob",
        "ScaleTrainingJob",
        "UpdateTrainingJob",
        "ListMetrics",
    ),
    "raydient.v1.DatasetService": ("GetDataset", "GetDatasetUpload", "ListDatasets"),
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


def open_channel(
    address: str, certificate_authority: Path | None = None, *, tls: bool = False, server_name: str | None = None
) -> grpc.Channel:
    """Open a channel, encrypted if `tls` or a certificate authority is set. Connects at the first call.

    The server's certificate must be valid for `server_name`, by default the address's host. Proxies of the environment
    are not used for addresses on this machine.
    """
    options: list[tuple[str, str | int]] = [("grpc.service_config", service_config()), ("grpc.enable_retries", 1)]
    options.append(("grpc.max_reconnect_backoff_ms", 2000))
    if is_loopback(address):
        options.append(("grpc.enable_http_proxy", 0))
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    if not tls and certificate_authority is None:
        return grpc.insecure_channel(address, options)
    roots = certificate_authority.read_bytes() if certificate_authority is not None else None
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options)


class Connection:
    """Stubs of the three services, with retries. Safe to use from several threads.

    An idempotent call is repeated until the service answers or `retry_seconds` have passed. `notice` receives one line,
    once, when the first call is repeated.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        token: str | None = None,
        *,
        sleep: Callable[[float], None],
        retry_seconds: float = CALL_SECONDS,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.address = address
        self.training = TrainingServiceStub(channel)
        self.datasets = DatasetServiceStub(channel)
        # the generated stub would take messages alone, and no chunks that are serialized
        self.datasets.UploadDataset = channel.stream_unary(
            "/raydient.v1.DatasetService/UploadDataset", serialized, Dataset.FromString
        )
        self.models = ModelServiceStub(channel)
        self.sleep = sleep
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {checked_token(token)}"),) if token else ()
        stubs = {"Training": self.training, "Dataset": self.datasets, "Model": self.models}
        self._repeatable = {
            getattr(stub, method) for name, stub in stubs.items() for method in IDEMPOTENT[f"raydient.v1.{name}Service"]
        }
        self._retry_seconds = retry_seconds
        self._notice = notice

    def call(self, method: Any, request: Any, seconds: float | None = CALL_SECONDS) -> Any:
        """Make a call and return its response. Blocks for at most `seconds`; None means no limit."""
        end = time.monotonic() + self._retry_seconds
        for pause in chain(RETRY_PAUSES, repeat(RETRY_PAUSES[-1])):
            try:
                return method(request, timeout=seconds, metadata=self._metadata)
            except grpc.RpcError as error:
                failure = error_of(error, self.address)
                worth_it = method in self._repeatable and time.monotonic() + pause <= end
                if not (isinstance(failure, Unreachable) and failure.transient and worth_it):
                    raise failure from error
                self.notify_of_retries(failure)
            self.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (spreads clients, no secret)
        raise AssertionError("the pauses do not end")

    def notify_of_retries(self, error: Unreachable) -> None:
        """Send the notice that calls are repeated, once."""
        self._notice(f"{error}; trying again")
        self._notice = lambda _: None

    def stream(self, method: Any, request: Any, seconds: float | None = None) -> Iterator[Any]:
        """Yield the responses of a stream as they arrive. Closing the iterator ends the call.

        Raises:
            TimedOut: the stream has not ended within so many seconds; None means no limit.
        """
        call = method(request, timeout=seconds, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            if seconds is not None and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TimedOut("the time is up") from error
            raise error_of(error, self.address) from error
        finally:
            call.cancel()

    def pages(self, method: Any, request: Any, items: str) -> Iterator[Any]:
        """Yield every item of every page of a list. Does not change `request`."""
        following = copy(request)
        while True:
            page = self.call(method, following)
            yield from getattr(page, items)
            if not page.next_page_token:
                return
            following.page_token = page.next_page_token

    def close(self) -> None:
        """End every call and close the channel."""
        self._channel.close()


def checked_token(token: str) -> str:
    """Strip blanks and a byte order mark from a token. Raises NotPermitted if a header cannot carry it."""
    token = token.strip("\ufeff \t\r\n")
    if not token:
        raise NotPermitted("the token is empty", reason="TOKEN_MISSING")
    for place, character in enumerate(token):
        if not "!" <= character <= "~":
            message = f"the token has {character!r} at position {place + 1}; tokens are printable ASCII without blanks"
            raise NotPermitted(message, reason="TOKEN_INVALID")
    return token


class Attempts:
    """Pauses between attempts to reopen a broken stream; every success starts again with the shortest pause."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._broken = 0

    def succeeded(self) -> None:
        """Note that a message has arrived."""
        self._broken = 0

    def pause_after(self, error: Unreachable, most: float = RECONNECT_SECONDS[-1]) -> None:
        """Wait before the next attempt, at most so many seconds, or raise `error` if there have been enough of them."""
        if self._broken == len(RECONNECT_SECONDS) or not error.transient:
            raise error
        self._connection.notify_of_retries(error)
        self._connection.sleep(min(RECONNECT_SECONDS[self._broken], most))
        self._broken += 1
