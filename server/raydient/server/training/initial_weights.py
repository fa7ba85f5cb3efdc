"""From `training.initial_weights` to a file on this machine: another job's model, or a file where that is allowed."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.wire.files import replacing
from raydient.workers.data import Dataset
from raydient.workers.network import Ends, Network, preprocessing_problems, read_preprocessing, weights_problem

FIELD = "training.initial_weights"
KEPT_FILE = "initial.safetensors"
"""What a job's own folder calls the weights that it began with."""
_JOB = re.compile(r"jobs/([a-z0-9][a-z0-9-]*)")


@dataclass(frozen=True, slots=True)
class Start:
    """Weights to start from.

    Attributes:
        told: how the specification names them.
        path: of their file.
        ends: the inputs and outputs that they belong to; None where the file does not say.
    """

    told: str
    path: Path
    ends: Ends | None

    def problems(self, network: Network, data: Dataset | None) -> Iterator[FieldError]:
        """Why they do not fit the network, or the data that it is trained on."""
        problem = weights_problem(network, self.path)
        if problem:
            yield FieldError(FIELD, f"{self.told} {problem}")
        elif data is not None and self.ends is not None:
            for problem in preprocessing_problems(self.ends, data.inputs, data.targets):
                yield FieldError(FIELD, f"{self.told} {problem}")

    def keep(self, kept: Path | None) -> Path:
        """Keep the file at `kept`, if given, and return where it is now. Raises as `keep_weights`."""
        if kept is not None and self.path != kept:
            keep_weights(self.path, kept)
        return kept or self.path


def find_start(told: str, *, jobs: Path | None, files: Path | None, kept: Path | None) -> Start | None:
    """The weights that a specification names, at `kept` if they are there; None where it names none.

    Raises:
        InvalidSpec: see `find_weights`; or the file cannot be read.
    """
    if not told:
        return None
    path = kept if kept is not None and kept.is_file() else find_weights(told, jobs=jobs, files=files)
    try:
        return Start(told, path, read_preprocessing(path))
    except ValueError as error:
        raise _invalid(f"{told} {error}") from error


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


def keep_weights(found: Path, kept: Path) -> None:
    """Make another job's model outlive that job, under a second name: it may have to be read again, and model files
    never change.

    Raises:
        InvalidSpec: the other job was deleted just now.
        OSError: there is no room, on a file system where a file has one name only.
    """
    try:
        os.link(found, kept)
    except FileNotFoundError:
        raise _invalid("the job with these weights was deleted") from None
    except OSError:
        with found.open("rb") as source, replacing(kept) as target:
            shutil.copyfileobj(source, target)


def _invalid(message: str) -> InvalidSpec:
    return InvalidSpec([FieldError(FIELD, message)])
