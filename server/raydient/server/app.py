"""The process of `raydient serve`: signals, logs and limits around the service."""

import asyncio
import logging
import os
import resource
import signal
import sys
from contextlib import closing

from threadpoolctl import threadpool_limits

from raydient.workers.data.limits import machine_bytes

from . import logs
from .clusters.cluster import ClusterError
from .clusters.opening import open_cluster
from .errors import StartError
from .service import Check, Settings, running_service
from .training.checking import Checker
from .training.runs import Runner

__all__ = ["Settings", "StartError", "serve"]

DESCRIPTORS = 8192
"""Limit on open files: over a thousand connections, several files for each job, and Ray's."""
log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT, then stop it gracefully and return 0; a second signal ends it at once.

    Raises StartError.
    """
    logs.configure("%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(logs.is_of_use)
    _raise_descriptor_limit()
    # One thread, so that predictions have the same bits under any load.
    threadpool_limits(limits=1, user_api="blas")
    return asyncio.run(_serve(settings))


def _raise_descriptor_limit() -> None:
    """Raise this process's limit on open files up to DESCRIPTORS; each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(settings: Settings) -> int:
    machine = None if settings.ray_address else machine_bytes()
    state = settings.state_directory.absolute()
    with closing(Checker(state / "jobs", machine=machine, datasets=state / "datasets")) as check:
        return await _serve_with(settings, check)


async def _serve_with(settings: Settings, check: Check) -> int:
    async with running_service(settings, lambda: _open_runner(settings), check) as running:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, stop.set)
        sys.stderr.write(f"raydient serving on {running.address}, metrics on {running.metrics}\n")
        sys.stderr.flush()
        await stop.wait()
        for number in signals:
            loop.remove_signal_handler(number)
        detaches = settings.ray_address is not None and not settings.stop_jobs
        log.info("stopping: running jobs %s", "go on without the service" if detaches else "take a checkpoint")
    return 0


def _open_runner(settings: Settings) -> Runner:
    slots = settings.slots or max(4, os.cpu_count() or 1)
    try:
        return Runner(open_cluster(settings.cluster, slots=slots, address=settings.ray_address))
    except ImportError as error:
        raise StartError(
            f"the cluster needs a package that is not installed: {error}; pip install 'raydient[server]'"
        ) from error
    except ClusterError as error:
        raise StartError(str(error)) from error
