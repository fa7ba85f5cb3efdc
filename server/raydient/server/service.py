"""The service that `raydient serve` runs: its settings, and the wiring of its parts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath

from .api import Address, ApiServer, Security
from .calls import Call
from .errors import ServiceError, StartError
from .jobs import Artifacts, Change, Dispatcher, Feed, JobManager, Reserve, StateDirectory, Stores
from .metrics import Exporter, JobCollector
from .training.runs import Runner

DRAIN_SECONDS = 20.0
"""Time that running jobs may take to checkpoint when the service stops."""
GRACE_SECONDS = 5.0
"""Time that calls in progress may take after that."""
CALL_THREADS = 32
"""Maximum number of calls that wait for the store or a file at a time."""
Check = Callable[[JobSpec, DataPath, Call, DataPath | None, Path | None], None]
"""Compares a specification with its data; see `JobManager`."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a service.

    Attributes:
        address, metrics_address: addresses for gRPC and for Prometheus; port 0 lets the system choose.
        state_directory: folder of jobs, datasets, checkpoints and models; created if absent.
        cluster: kind of the cluster on which training runs, `local` or `ray`.
        ray_address: a running Ray to join; None starts one, if `cluster` is `ray`.
        stop_jobs: also pause jobs on a joined Ray when the service stops; otherwise they go on there.
        slots: maximum number of worker processes on a local cluster or own Ray; None: one per core, at least four.
        data_roots: folders with files that jobs may read.
        data_urls: URLs below which jobs may read remote files.
        disk_reserve_bytes: space that uploads leave free; None for the default of `Reserve`.
        insecure_grpc: listen beyond this machine without TLS and tokens.
        insecure_metrics: serve metrics beyond this machine; they have neither TLS nor tokens.
        tls_certificate, tls_key: PEM files.
        tokens_file: file with the accepted tokens; without it every client that can connect may call.
    """

    address: str = "127.0.0.1:50051"
    metrics_address: str = "127.0.0.1:9095"
    state_directory: Path = Path("raydient-state")
    cluster: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    stop_jobs: bool = False
    slots: int | None = None
    data_roots: tuple[Path, ...] = ()
    data_urls: tuple[str, ...] = ()
    disk_reserve_bytes: int | None = None
    insecure_grpc: bool = False
    insecure_metrics: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tokens_file: Path | None = None

    def security(self) -> Security:
        """The TLS, token and address rules of these settings."""
        return Security(self.tls_certificate, self.tls_key, self.tokens_file, self.insecure_grpc, self.insecure_metrics)


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that answers: the address of gRPC and the URL of its metrics."""

    address: str
    metrics: str


@asynccontextmanager
async def running_service(
    settings: Settings, open_runner: Callable[[], Runner], check: Check
) -> AsyncIterator[RunningService]:
    """Run a service in this process until the context ends, then stop it gracefully.

    `open_runner` joins the cluster; it is called after the faster preparations have succeeded. Raises StartError.
    """
    address, metrics = Address.parse(settings.address), Address.parse(settings.metrics_address)
    security = settings.security()
    security.permit(address, metrics)
    address.check_free()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CALL_THREADS, "call"))
    async with AsyncExitStack() as stack:
        observers = Observers()
        reserve = Reserve(settings.disk_reserve_bytes)
        stores = Stores.open(
            settings.state_directory,
            observers.publish,
            data_roots=settings.data_roots,
            reserve=reserve,
            data_urls=settings.data_urls,
        )
        stack.push_async_callback(asyncio.to_thread, stores.close)
        with _taking_up_jobs(stores.directory):
            observers.collector.begin(stores.jobs.unfinished(), stores.jobs.counts(), datetime.now(UTC))
        exporter = Exporter(metrics.host, metrics.port, observers.collector)
        stack.push_async_callback(asyncio.to_thread, exporter.close)
        runner = open_runner()
        stack.push_async_callback(asyncio.to_thread, runner.close)
        observe_slots = observers.collector.use_slots
        dispatcher = Dispatcher(stores.jobs, runner, stores.run_request, observe_slots=observe_slots)
        jobs = JobManager(stores, dispatcher, check)
        api = ApiServer(jobs, observers.feed, Artifacts(stores.directory), security, exporter.observe_call)
        stack.push_async_callback(api.stop, GRACE_SECONDS)
        close = partial(dispatcher.close, DRAIN_SECONDS, stop_jobs=settings.stop_jobs)
        stack.push_async_callback(asyncio.to_thread, close)
        with _taking_up_jobs(stores.directory):
            jobs.tidy()
            dispatcher.recover()
        bound = await api.start(address)
        stack.push_async_callback(api.drain)
        yield RunningService(str(bound), f"http://{Address(metrics.host, exporter.port)}/metrics")


class Observers:
    """Receivers of every committed change of a job: the metrics, the watchers and the log."""

    def __init__(self) -> None:
        self.collector = JobCollector()
        self.feed = Feed()

    def publish(self, change: Change) -> None:
        """Pass a change on. Does not block."""
        self.collector.publish(change)
        self.feed.publish(change)
        before, after = change.before, change.after
        if after is None:
            log.info("jobs/%s deleted", before.id if before else "")
        elif before is None or before.state is not after.state:
            log.info("jobs/%s %s", after.id, " ".join(filter(None, (after.state.name, after.reason, after.message))))


@contextmanager
def _taking_up_jobs(directory: StateDirectory) -> Iterator[None]:
    """Translate errors of the job store to StartError."""
    try:
        yield
    except ServiceError as error:
        raise StartError(f"jobs of an earlier run cannot be taken up from {directory.database}: {error}") from error
