"""Resource names: `jobs/{id}`, `datasets/{id}`, `jobs/{id}/checkpoints/{step}`. What is none names nothing."""

import re

from raydient.server.errors import NotFound

_JOB = re.compile(r"jobs/([a-z0-9-]{1,63})")
_DATASET = re.compile(r"datasets/([0-9a-f]{64})")
_CHECKPOINT = re.compile(r"(jobs/[a-z0-9-]{1,63})/checkpoints/([0-9]{1,18})")


def job_id(name: str) -> str:
    """The id in `jobs/{id}`. Raises NotFound."""
    found = _JOB.fullmatch(name)
    if found is None:
        raise NotFound(f"there is no job {name[:100]!r}: names look like jobs/{{id}}", reason="JOB_NOT_FOUND")
    return found[1]


def dataset_id(name: str) -> str:
    """The id in `datasets/{id}`. Raises NotFound."""
    found = _DATASET.fullmatch(name)
    if found is None:
        message = f"there is no dataset {name[:100]!r}: names look like datasets/{{id}}"
        raise NotFound(message, reason="DATASET_NOT_FOUND")
    return found[1]


def job_and_step(name: str) -> tuple[str, int | None]:
    """The job's id in `jobs/{id}`, and the step where a checkpoint of it is named. Raises NotFound."""
    found = _CHECKPOINT.fullmatch(name)
    return (job_id(name), None) if found is None else (job_id(found[1]), int(found[2]))
