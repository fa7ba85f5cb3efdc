"""The gRPC server: services, health, reflection, limits."""

from collections.abc import Mapping, Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from raydient.server.errors import StartError
from raydient.server.jobs import Artifacts, Feed, JobService, StoredModels
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
    # a dead peer is noticed within a minute; a client may ask as often for itself
    "grpc.keepalive_time_ms": 40_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.http2.min_ping_interval_without_data_ms": 10_000,
    # without this a second server could listen on the same port unnoticed
    "grpc.so_reuseport": 0,
}


class ApiServer:
    """The services of one server. To be used on one event loop: `start`, then `drain`, then `stop`."""

    def __init__(
        self, jobs: JobService, feed: Feed, artifacts: Artifacts, security: Security, observe: Observe
    ) -> None:
        self._watchers = Watchers(jobs.store, feed)
        self._health = health.aio.HealthServicer()
        self._credentials = security.credentials()
        options = list(OPTIONS.items())
        self._server = grpc.aio.server(interceptors=[CallInterceptor(security.guard(), observe)], options=options)
        training = TrainingServicer(jobs, self._watchers)
        models = ModelServicer(jobs.store, artifacts, StoredModels())
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server(training, self._server)
        dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(DatasetServicer(jobs), self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(models, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names: Sequence[str] = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)

    async def start(self, address: Address) -> Address:
        """Listen and serve; where it listens. Raises StartError."""
        address.check_free()
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(str(address))
            else:
                port = self._server.add_secure_port(str(address), self._credentials)
        except RuntimeError as error:
            raise StartError(f"cannot listen on {address}") from error
        await self._server.start()
        for service in (*SERVICES, ""):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return Address(address.host, port)

    async def drain(self) -> None:
        """Tell by the health service that no more calls are wanted; they are still answered."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_seconds: float) -> None:
        """End the watches, refuse new calls, and cut those that have not finished in time."""
        self._watchers.stop()
        await self._server.stop(grace_seconds)
