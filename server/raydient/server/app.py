"""Wiring of the service, and `serve`."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

from threadpoolctl import threadpool_limits

from raydient.spec.job import JobSpec
from raydient.workers.data.limits import machine_bytes

from . import logs
from .api import Address, ApiServer, Security
from .calls import Call
from .clusters.cluster import ClusterError
from .clusters.opening import open_cluster
from .errors import ServiceError, StartError
from .jobs import (
    Artifacts,
    Change,
    DatasetStore,
    Dispatcher,
    Feed,
    Job,
    JobManager,
    JobStore,
    Removals,
    Reserve,
    Sources,
    StateDirectory,
    open_database,
)
from .metrics import Exporter, JobCollector
from .training.checking import Checker
from .training.runs import Runner, RunRequest

__all__ = ["Running", "Settings", "StartError", "serve", "service"]

DRAIN_SECONDS = 20.0
"""Time that running jobs may take to checkpoint when the service stops."""
GRACE_SECONDS = 5.0
"""Time that calls in progress may take after that."""
CALL_THREADS = 32
"""Calls that wait for the store or a file, at a time."""
DESCRIPTORS = 8192
"""Limit on open files: over a thousand connections, several files for each job, and Ray's."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a service.

    Attributes:
        address, metrics_address: addresses for gRPC and for Prometheus; port 0 lets the system choose.
        state_directory: folder of jobs, datasets, checkpoints and models; created if absent.
        cluster: `local` or `ray`: the cluster on which training runs.
        ray_address: a Ray to join; None starts one, if `cluster` is `ray`.
        stop_jobs: when the service stops, also pause jobs on a Ray that was joined; else they go on there.
        slots: maximum number of worker processes on a local cluster or own Ray; None: one per core, at least four.
        data_roots: folders with files that jobs may read.
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
    disk_reserve_bytes: int | None = None
    insecure_grpc: bool = False
    insecure_metrics: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tokens_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers: where it does."""

    address: str
    metrics: str


def serve(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT, then stop it gracefully and return 0; a second signal ends it at once.

    Raises StartError.
    """
    logs.configure("%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(is_of_use)
    _raise_descriptor_limit()
    # Predictions, too, come out the same whatever else the machine does.
    threadpool_limits(limits=1, user_api="blas")
    return asyncio.run(_serve(settings))


def _raise_descriptor_limit() -> None:
    """Raise this process's limit on open files as far as possible; each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def is_of_use(record: logging.LogRecord) -> bool:
    """False for gRPC's traceback about metadata that is not UTF-8: a client's error, answered by the call's status."""
    return not record.getMessage().startswith("Invalid encoding on")


async def _serve(settings: Settings) -> int:
    machine = None if settings.ray_address else machine_bytes()
    with closing(Checker(settings.state_directory / "jobs", machine=machine)) as check:
        return await _serve_with(settings, check)


async def _serve_with(settings: Settings, check: Callable[[JobSpec, Path, Call], None]) -> int:
    async with service(settings, lambda: _open_runner(settings), check) as running:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:  # only now: starting Ray puts handlers of its own in place
            loop.add_signal_handler(number, stop.set)
        sys.stderr.write(f"raydient serving on {running.address}, metrics on {running.metrics}\n")
        sys.stderr.flush()
        await stop.wait()
        for number in signals:
            loop.remove_signal_handler(number)
        leaves = settings.ray_address is not None and not settings.stop_jobs
        log.info("stopping: running jobs %s", "go on without the service" if leaves else "take a checkpoint")
    return 0


def _open_runner(settings: Settings) -> Runner:
    slots = settings.slots or max(4, os.cpu_count() or 1)
    try:
        return Runner(open_cluster(settings.cluster, slots=slots, address=settings.ray_address))
    except ImportError as error:
        raise StartError(f"the cluster needs what is not installed: {error}; pip install 'raydient[server]'") from error
    except ClusterError as error:
        raise StartError(str(error)) from error


@asynccontextmanager
async def service(
    settings: Settings, open_runner: Callable[[], Runner], check: Callable[[JobSpec, Path, Call], None]
) -> AsyncIterator[Running]:
    """The service, running in this process until the context ends; then it is stopped gracefully.

    `open_runner` joins the cluster, once everything that can go wrong sooner has gone well; `check` compares a
    specification with its data. Raises StartError.
    """
    address, metrics = Address.parse(settings.address), Address.parse(settings.metrics_address)
    security = Security(
        settings.tls_certificate,
        settings.tls_key,
        settings.tokens_file,
        settings.insecure_grpc,
        settings.insecure_metrics,
    )
    security.permit(address, metrics)
    address.check_free()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(CALL_THREADS, "call"))
    async with AsyncExitStack() as stack:
        directory = StateDirectory(settings.state_directory)
        stack.callback(directory.close)
        database = open_database(directory)
        stack.push_async_callback(asyncio.to_thread, database.close)
        feed, collector = Feed(), JobCollector()

        def publish(change: Change) -> None:
            collector.publish(change)
            feed.publish(change)
            _log_change(change)

        store = JobStore(database, publish)
        with _taking_up_jobs(directory.database):
            collector.begin(store.unfinished(), store.counts(), datetime.now(UTC))
        exporter = Exporter(metrics.host, metrics.port, collector)
        stack.push_async_callback(asyncio.to_thread, exporter.close)
        datasets = DatasetStore(database, directory.datasets, reserve=Reserve(settings.disk_reserve_bytes))
        sources = Sources(datasets, settings.data_roots)

        def request(job: Job, workers: int) -> RunRequest:
            return RunRequest(
                job=job.id,
                workers=workers,
                minimum=job.workers.min,
                spec=job.spec,
                dataset=sources.find(job.spec.dataset.uri),
                directory=directory.job(job.id),
                epochs=job.epochs,
            )

        runner = open_runner()
        stack.push_async_callback(asyncio.to_thread, runner.close)
        dispatcher = Dispatcher(store, runner, request, observe_slots=collector.use_slots)
        jobs = JobManager(
            store=store,
            datasets=datasets,
            sources=sources,
            dispatcher=dispatcher,
            directory=directory,
            removals=Removals(database, directory.path),
            check=check,
        )
        api = ApiServer(jobs, feed, Artifacts(directory), security, exporter.observe_call)
        with _taking_up_jobs(directory.database):
            jobs.tidy()
        stack.push_async_callback(api.stop, GRACE_SECONDS)
        close = partial(dispatcher.close, DRAIN_SECONDS, stop_jobs=settings.stop_jobs)
        stack.push_async_callback(asyncio.to_thread, close)
        with _taking_up_jobs(directory.database):
            dispatcher.recover()
        bound = await api.start(address)
        stack.push_async_callback(api.drain)
        where = Address(metrics.host, exporter.port)
        yield Running(str(bound), f"http://{where}/metrics")


@contextmanager
def _taking_up_jobs(database: Path) -> Iterator[None]:
    """Translate errors of the job store to StartError."""
    try:
        yield
    except ServiceError as error:
        raise StartError(f"jobs of an earlier run cannot be taken up from {database}: {error}") from error


def _log_change(change: Change) -> None:
    if change.after is None:
        log.info("jobs/%s deleted", change.before.id if change.before else "")
    elif change.before is None or change.before.state is not change.after.state:
        job = change.after
        log.info("jobs/%s %s", job.id, " ".join(filter(None, (job.state.name, job.reason, job.message))))
