"""The gRPC server: services, health, reflection, limits."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from raydient.server.errors import StartError
from raydient.server.jobs import Artifacts, Feed, JobManager, StoredModels
from raydient.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)

from .datasets import DatasetServicer
from .interceptor import CallInterceptor, Observe
from .models import ModelServicer
from .security import Address, Security
from .training import TrainingServicer
from .watching import Watchers

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (training_service_pb2, "TrainingService"),
        (dataset_service_pb2, "DatasetService"),
        (model_service_pb2, "ModelService"),
    )
)
MESSAGE_BYTES = 4 << 20
OPTIONS: Mapping[str, int] = {
    "grpc.max_receive_message_length": MESSAGE_BYTES,
    "grpc.max_send_message_length": MESSAGE_BYTES,
    "grpc.max_metadata_size": 16 << 10,
    "grpc.max_concurrent_streams": 1000,
    # detects a dead peer within a minute; clients may send keepalive pings as often
    "grpc.keepalive_time_ms": 40_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.http2.min_ping_interval_without_data_ms": 10_000,
    # close connections that do not complete the HTTP/2 or TLS handshake, and idle ones; clients reconnect
    "grpc.server_handshake_timeout_ms": 10_000,
    "grpc.max_connection_idle_ms": 60_000,
    "grpc.max_allowed_incoming_connections": 1000,
    # otherwise a second server could listen on the same port
    "grpc.so_reuseport": 0,
}


CHECK_SECONDS = 0.2
"""Interval between checks that gRPC's server still runs."""
SERVERS_KEPT = 8
"""Maximum number of servers, the newest; calls in progress on older ones, which have ended, are cut."""

log = logging.getLogger(__name__)


class ApiServer:
    """The services of one server. To be used on one event loop: `start`, then `drain`, then `stop`."""

    def __init__(
        self, jobs: JobManager, feed: Feed, artifacts: Artifacts, security: Security, observe: Observe
    ) -> None:
        self._watchers = Watchers(jobs.store, feed)
        self._health = health.aio.HealthServicer()
        self._credentials = security.credentials()
        self._interceptor = CallInterceptor(security.guard(), observe)
        self._training = TrainingServicer(jobs, self._watchers)
        self._datasets = DatasetServicer(jobs)
        self._models = ModelServicer(jobs.store, artifacts, StoredModels())
        self._servers: list[grpc.aio.Server] = []
        self._keeping: asyncio.Task[None] | None = None

    async def start(self, address: Address) -> Address:
        """Listen and serve. Returns the address on which it listens. Raises StartError."""
        address.check_free()
        try:
            bound = Address(address.host, await self._serve(address))
        except RuntimeError as error:
            raise StartError(f"cannot listen on {address}") from error
        for service in (*SERVICES, ""):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self._keeping = asyncio.create_task(self._keep_serving(bound))
        return bound

    async def drain(self) -> None:
        """Answer health checks with NOT_SERVING; other calls are still served."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """End the watches, refuse new calls, and cut those that have not finished in time."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._watchers.stop()
        await asyncio.gather(*(server.stop(grace_seconds) for server in self._servers))

    async def _serve(self, address: Address) -> int:
        """Start a server and return its port. Raises RuntimeError if it cannot listen."""
        server = grpc.aio.server(interceptors=[self._interceptor], options=list(OPTIONS.items()))
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server(self._training, server)
        dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(self._datasets, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self._models, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names: Sequence[str] = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
        if self._credentials is None:
            port = server.add_insecure_port(str(address))
        else:
            port = server.add_secure_port(str(address), self._credentials)
        await server.start()
        self._servers.append(server)
        return port

    async def _keep_serving(self, address: Address) -> None:
        """Start another gRPC server when the current one has ended.

        gRPC's accept loop ends when a call's path is not UTF-8, which needs no token: the server stops listening, and
        calls in progress go on. A call that arrives at that moment is never answered, until its client's deadline.
        There is no event for that, so its state is polled.
        """
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            running: bool = self._servers[-1]._server.is_running()  # type: ignore[attr-defined]
            if not running:
                log.error("gRPC's server has ended unexpectedly; starting another one on %s", address)
                with suppress(RuntimeError):  # the old server still holds the port; retried at the next check
                    await self._serve(address)
                while len(self._servers) > SERVERS_KEPT:
                    await self._servers.pop(0).stop(None)
