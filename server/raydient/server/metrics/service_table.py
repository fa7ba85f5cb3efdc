"""The table of the metrics of the service as a whole."""

import platform
from importlib.metadata import version

from raydient.server.jobs.states import State

from .families import Family, single
from .series import Totals

SERVICE: tuple[Family[Totals], ...] = (
    Family(
        "raydient_jobs",
        "Jobs in the store, by state.",
        lambda totals: {(state.value,): count for state, count in totals.jobs.items()},
        ("state",),
    ),
    Family("raydient_queue_length", "Jobs in the queue.", single(lambda totals: totals.jobs[State.QUEUED])),
    Family(
        "raydient_queue_wait_seconds",
        "Time that jobs waited, from being accepted or queued again to being started.",
        lambda totals: {(): totals.waits.histogram},
        is_histogram=True,
    ),
    Family(
        "raydient_queue_oldest_timestamp_seconds",
        "Unix time at which the longest-waiting job was queued; absent if none waits.",
        single(lambda totals: totals.oldest),
    ),
    Family(
        "raydient_worker_slots",
        "Worker processes that the cluster can hold, `total`, and those `held` by jobs.",
        lambda totals: {("total",): totals.slots, ("held",): totals.held_slots},
        ("state",),
    ),
    Family(
        "raydient_build_info",
        "1; versions of what runs.",
        lambda _: {(version("raydient"), platform.python_version()): 1},
        ("version", "python"),
    ),
)
