"""Finds the local data file of a job, and its errors; writes one for data in memory."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from raydient.spec.dataset import Dataset
from raydient.spec.errors import FieldError, InvalidSpec, collecting
from raydient.spec.job import JobSpec
from raydient.spec.patterns import DataPath, are_files, data_path, files_of, repeated
from raydient.spec.reading import open_job_file
from raydient.spec.remote import is_remote
from raydient.spec.sources import UPLOADED, by_fields
from raydient.spec.splits import Validation
from raydient.spec.validation import valid_parts, validate_job
from raydient.spec.vocabulary_files import with_vocabularies

from .data_writing import write_data

if TYPE_CHECKING:
    from .local_model import LocalModel

START = "training.initial_weights"
_ON_SERVER = re.compile(rf"jobs/[a-z0-9][a-z0-9-]*|{UPLOADED.pattern}")
Result = TypeVar("Result")
AnyJob = JobSpec | Mapping[str, Any] | str | os.PathLike[str]
"""A specification, the same as plain data, or the path of a job file."""
AnyStart: TypeAlias = "LocalModel | str | os.PathLike[str]"
"""A model to start from: itself, the path of its file, or a name that the service gave."""


def local_files(dataset: Dataset, directory: Path) -> dict[str, Path | None]:
    """Return the local file of each of `dataset.uris`, relative to `directory`; a path with wildcards may be several.

    It is None for a file on the server: a stored dataset, a URL, or an absolute path that this machine lacks.

    Raises:
        InvalidSpec: there is no such file, or one is named twice.
    """
    errors: list[FieldError] = []
    files: dict[str, Path | None] = {}
    for field, uri in dataset.uris.items():
        try:
            files[field] = _local_file(field, uri, directory, dataset)
        except InvalidSpec as missing:
            errors += missing.errors
    for uris in (dataset.training_uris, dataset.validation_uris):
        errors += _repeated({field: file for field in uris if (file := files.get(field))})
    if errors:
        raise InvalidSpec(errors)
    return files


def _repeated(local: Mapping[str, Path]) -> list[FieldError]:
    """Return an error if two settings of one data set name the same file."""
    known: list[Path] = []
    for field, path in local.items():
        known += files_of(path)
        if (twice := repeated(known)) is not None:
            return [FieldError(field, f'"{twice.name}" is named twice, so its rows would be read twice: name it once')]
    return []


def _local_file(field: str, uri: str, directory: Path, dataset: Dataset) -> Path | None:
    if UPLOADED.fullmatch(uri) or is_remote(uri):
        return None
    path = directory / uri
    if are_files(path) or (path.is_dir() and dataset.reads_folders):
        return path
    if Path(uri).is_absolute() and not path.exists():
        return None
    problem = "is not a file" if path.exists() else "no such file"
    if path.is_dir():
        problem += ", but a folder, which needs an input of images or texts in `dataset.inputs`"
    raise InvalidSpec([FieldError(field, f'"{uri}": {problem} (looked for {path})')])


def local_start(spec: JobSpec, directory: Path) -> Path | None:
    """Return the local file of `training.initial_weights`, relative to `directory`.

    It is None if the job names none, a job of the service, or a model that the service has.

    Raises:
        InvalidSpec: there is no such file, or its suffix is not that of a model.
    """
    name = spec.training.initial_weights.from_ if spec.training.initial_weights else ""
    if not name or _ON_SERVER.fullmatch(name):
        return None
    path = directory / name
    if not path.is_file():
        problem = (
            f"no such file (looked for {path}); name it, a job of the service (jobs/ID) or an upload (datasets/ID)"
        )
    elif path.suffix.lower() != ".safetensors":
        problem = "not a .safetensors file, which `raydient train` and `raydient download` write"
    else:
        return path
    raise InvalidSpec([FieldError(START, f'"{name}": {problem}')])


def with_start(spec: JobSpec, model: "AnyStart | None", folder: Path) -> JobSpec:
    """Return a job that starts from a model, which is written to `folder` if it is no path; None leaves the job's."""
    if model is None:
        return spec
    if not isinstance(model, str | os.PathLike):
        model = model.save(folder / "start.safetensors")
    name = os.fspath(model)
    return spec.with_initial_weights(name if _ON_SERVER.fullmatch(name) else str(Path(name).absolute()))


def data_here(spec: JobSpec, directory: Path) -> tuple[DataPath, DataPath | None]:
    """Return the local files of a job that runs on this machine: of its data, and of held-out data of their own.

    Raises:
        InvalidSpec: the data is not on this machine; further errors of the job are included.
    """
    try:
        files = local_files(spec.dataset, directory)
    except InvalidSpec as missing:
        parts = {name: getattr(spec, name) for name in type(spec).model_fields}
        raise InvalidSpec(_with_others(missing.errors, parts, directory)) from missing
    uris = spec.dataset.uris
    if away := [field for field, file in files.items() if file is None and not is_remote(uris[field])]:
        raise InvalidSpec(FieldError(field, f'"{uris[field]}" is not a file on this machine') for field in away)
    return _both(
        spec.dataset, {field: [file] if file else _fetched(field, uris[field]) for field, file in files.items()}
    )


def _fetched(field: str, url: str) -> list[Path]:
    """Download the files of a URL unless they are known. Raises InvalidSpec."""
    from .remote_cache import open_cache

    try:
        return open_cache().local(field, url)
    except OSError as error:
        reason = f"{error.filename or 'the cache'}: {error.strerror or error}"
        raise InvalidSpec([FieldError(field, f"{url}: it cannot be kept on this machine: {reason}")]) from error


def _both(dataset: Dataset, files: Mapping[str, Sequence[Path]]) -> tuple[DataPath, DataPath | None]:
    """Return the files of the data, and of held-out data of their own."""
    data, own = (
        [file for field in uris for file in files[field]] for uris in (dataset.training_uris, dataset.validation_uris)
    )
    return data_path(data), data_path(own) if own else None


def errors_beside(data: object, directory: Path) -> list[FieldError]:
    """Find further errors of an invalid job: in its data file, and in its valid sections compared with the data.

    Args:
        data: the job as plain data.
        directory: base of a relative path of the data file.
    """
    parts = valid_parts(data)
    if "dataset" not in parts:
        return []
    try:
        if None in local_files(parts["dataset"], directory).values():
            return []
    except InvalidSpec as missing:
        return _with_others(missing.errors, parts, directory)
    return _with_others([], parts, directory)


def _with_others(errors: Sequence[FieldError], parts: Mapping[str, Any], directory: Path) -> list[FieldError]:
    """Add the errors that reading the data and building the network find, if the server's packages are installed."""
    if not all(map(find_spec, ("pyarrow", "safetensors"))):
        return list(errors)
    from raydient.server.training.preparation import find_errors

    known, dataset = {error.path.partition("[")[0] for error in errors}, parts["dataset"]
    further = find_errors(parts, *_both(dataset, {field: [directory / uri] for field, uri in dataset.uris.items()}))
    return [*errors, *(error for error in further if error.path not in known)]


def with_job(
    job: AnyJob, data: Any, directory: str | os.PathLike[str], use: Callable[[JobSpec, Path], Result]
) -> Result:
    """Return `use(specification, base of its relative paths)`; `directory` is the base if the job is no file.

    Raises InvalidSpec; its errors have the lines of the job file, also those that `use` raises.
    """
    if not isinstance(job, str | os.PathLike):
        return use(_job_of(job, data, Path(directory)), Path(directory))
    file = open_job_file(Path(job))
    try:
        return use(file.spec, file.path.parent)
    except InvalidSpec as error:
        raise file.locate(error.errors) from error


def _job_of(job: JobSpec | Mapping[str, Any], data: Any, directory: Path) -> JobSpec:
    """Return the specification of a job; its dataset may lack a `uri` if there are data. Raises InvalidSpec."""
    if isinstance(job, JobSpec):
        return job
    dataset = job.get("dataset", {})
    if data is not None and isinstance(dataset, Mapping):
        job = {**job, "dataset": {"uri": "data", **dataset}}
    plain, errors = with_vocabularies(job, directory)
    with collecting(errors):
        spec = validate_job(plain)
    if errors:
        raise InvalidSpec(errors)
    return spec


def with_data(spec: JobSpec, data: Any, validation: Any, folder: Path) -> JobSpec:
    """Return a job with data of any form, see `write_data`.

    Args:
        spec: the job.
        data: its data; None leaves what the job names.
        validation: its held-out data; None leaves what the job names or holds out.
        folder: an existing folder for the files of data that are not paths.

    Raises:
        InvalidSpec: a path is no file.
        InvalidSamples: the data cannot be written to a file.
    """
    update: dict[str, Any] = {}
    if data is not None:
        update |= by_fields(_written("dataset.uri", data, spec, folder))
    if validation is not None:
        own = folder / "validation"
        own.mkdir()
        uris = by_fields(_written("dataset.validation.uri", validation, spec, own))
        update |= {
            "validation": Validation(**uris),
            "split": spec.dataset.split.model_copy(update={"test": 0.0}),
        }
    replaced = spec.model_copy(update={"dataset": spec.dataset.model_copy(update=update)})
    return validate_job(replaced.canonical()) if update else spec


def _written(field: str, data: Any, spec: JobSpec, folder: Path) -> list[str]:
    are_paths = isinstance(data, list) and data and all(isinstance(one, str | os.PathLike) for one in data)
    errors: list[FieldError] = []
    uris = []
    for one in data if are_paths else [data]:
        if isinstance(one, str) and is_remote(one):
            uris.append(one)
            continue
        path = write_data(one, spec.dataset, folder)
        uris.append(str(path.absolute()))
        if not (are_files(path) or (path.is_dir() and spec.dataset.reads_folders)):
            errors.append(FieldError(field, f'"{path}": no such file'))
    if errors:
        raise InvalidSpec(errors)
    return uris
