"""From `training.initial_weights` to a file on this machine: another job's model, or a file where that is allowed."""

import re
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec

FIELD = "training.initial_weights"
_JOB = re.compile(r"jobs/([a-z0-9][a-z0-9-]*)")


def find_weights(told: str, *, jobs: Path | None = None, files: Path | None = None) -> Path:
    """The model file that is meant.

    Args:
        told: `jobs/{id}` or a path.
        jobs: the folder with each job's own; None where no service is.
        files: what relative paths begin at; None where no files are to be read, because the path comes from elsewhere.

    Raises:
        InvalidSpec: it may not be read here, or is not there.
    """
    if job := _JOB.fullmatch(told):
        if jobs is None:
            raise _invalid(f"{told} is a job of a service, which is not asked here: download its model, name the file")
        path = jobs / job[1] / "model.safetensors"
        if not path.is_file():
            raise _invalid(f"there is no model of {told}: the job is not there, or has not SUCCEEDED")
        return path
    if files is None:
        raise _invalid(
            f"{told[:200]!r} is a file, which `raydient train` alone reads; name a job of the service, jobs/ID"
        )
    path = files / told
    if not path.is_file():
        raise _invalid(f"there is no file {told!r}")
    return path


def _invalid(message: str) -> InvalidSpec:
    return InvalidSpec([FieldError(FIELD, message)])
