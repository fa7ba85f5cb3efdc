"""Which local file a job trains on."""

import re
from pathlib import Path

from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.job import JobSpec


def local_file(spec: JobSpec, directory: Path) -> Path | None:
    """The local file that a job trains on, relative to `directory`.

    None if the data is the server's: a stored dataset, a URL, or an absolute path that is not here.

    Raises:
        InvalidSpec: there is no such file.
    """
    uri = spec.dataset.uri
    if re.fullmatch(r"datasets/[0-9a-f]{64}", uri) or re.match(r"[a-z][a-z0-9+.-]*://", uri):
        return None
    path = directory / uri
    if path.is_file():
        return path
    if Path(uri).is_absolute() and not path.exists():
        return None
    problem = "is not a file" if path.exists() else "no such file"
    raise InvalidSpec([FieldError("dataset.uri", f'"{uri}": {problem} (looked for {path})')])


def data_here(spec: JobSpec, directory: Path) -> Path:
    """The local file that a job trains on, where the job is to run on this machine.

    Raises:
        InvalidSpec: there is no such file, or the data is not on this machine.
    """
    path = local_file(spec, directory)
    if path is None:
        raise InvalidSpec([FieldError("dataset.uri", f'"{spec.dataset.uri}" is no file on this machine')])
    return path


def with_dataset(spec: JobSpec, uri: str) -> JobSpec:
    """The same job on other data."""
    return spec.model_copy(update={"dataset": spec.dataset.model_copy(update={"uri": uri})})
