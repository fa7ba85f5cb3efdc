"""The processor cores of the workers of a machine."""

import os


def keep_to_a_core(place: int, workers: int) -> None:
    """Bind this process to a core of its own, with warm caches, if there are as many cores as workers.

    All workers wait for the slowest one in every step, and a worker that is moved to another core is the slowest. With
    SCHED_BATCH a worker that wakes up does not interrupt the parameter server on the same core, so the parameter server
    wakes the other workers first.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == workers > place:
            os.sched_setaffinity(0, {cores[place]})
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
