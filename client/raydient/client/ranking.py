"""Ranks jobs by a metric of their last complete epoch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from raydient.spec.monitored import larger_is_better

if TYPE_CHECKING:
    from .job import Job


def ranked(jobs: "Iterable[Job]", metric: str) -> "list[Job]":
    """Return the jobs that have a metric, such as `test_accuracy`, the best first; then the others in their order.

    Raises:
        ValueError: jobs have metrics, and none has this one; the message lists the names.
    """
    jobs = list(jobs)
    check_metric(jobs, metric)
    sign = -1 if larger_is_better(metric) else 1
    values = [job.metrics.get(metric) for job in jobs]
    measured = sorted((sign * value, place) for place, value in enumerate(values) if value is not None)
    rest = [job for job, value in zip(jobs, values, strict=True) if value is None]
    return [*(jobs[place] for _, place in measured), *rest]


def check_metric(jobs: "Iterable[Job]", metric: str) -> None:
    """Raise ValueError if jobs have metrics, and none has this one."""
    known = dict.fromkeys(name for job in jobs for name in job.metrics)
    if known and metric not in known:
        raise ValueError(f"no job has a metric {metric!r}; there are: {', '.join(known)}")
