"""Names of rows in errors of the service, where it has as one file what are several on this machine."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from raydient.spec.csv_text import Dialect
from raydient.spec.dataset import Dataset
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.patterns import data_path, files_of
from raydient.spec.text_files import text_files
from raydient.spec.values import quoted

from .columns import InvalidSamples
from .data_file import local_files
from .samples import Samples, read_samples

_ROW = re.compile(r"\brow (\d+)\b(?: \(line \d+\))?")
_TRAINING, _HELD_OUT = "dataset", "dataset.validation"


@contextmanager
def naming_rows(dataset: Dataset, directory: Path) -> Iterator[None]:
    """Give rows in errors of a job's data the names that they have in the local files, which `pack` has made one.

    Rows of images, and of data that are in part on the server, keep their numbers.

    Args:
        dataset: of the job, with its local files.
        directory: base of their paths.
    """
    try:
        yield
    except InvalidSpec as invalid:
        if dataset.images:
            raise
        names: dict[str, Mapping[int, str]] = {}
        for part, fields in ((_TRAINING, dataset.training_uris), (_HELD_OUT, dataset.validation_uris)):
            messages = [error.message for error in invalid.errors if _part(error) == part]
            if rows := {int(row) for message in messages for row in _ROW.findall(message)}:
                names[part] = _names(rows, _files(dataset, fields, directory), dataset.csv.dialect)
        raise InvalidSpec(_named(error, names.get(_part(error), {})) for error in invalid.errors) from invalid


def _part(error: FieldError) -> str:
    """Return which data a setting is about; empty if about none."""
    if not error.path.startswith("dataset."):
        return ""
    return _HELD_OUT if error.path.startswith(_HELD_OUT) else _TRAINING


def _named(error: FieldError, names: Mapping[int, str]) -> FieldError:
    return replace(error, message=_ROW.sub(lambda match: names.get(int(match[1]), match[0]), error.message))


def _files(dataset: Dataset, fields: Collection[str], directory: Path) -> list[Path]:
    """Return the files of some settings in order; none if the server has one of them."""
    local = local_files(dataset, directory)
    paths = [path for field in fields if (path := local[field]) is not None]
    return files_of(data_path(paths)) if len(paths) == len(fields) else []


def _names(rows: Collection[int], files: Sequence[Path], dialect: Dialect) -> dict[int, str]:
    """Return the names of rows of all files, by their numbers from 1; each file is read once, up to the last row."""
    names: dict[int, str] = {}
    if len(files) == 1 and not files[0].is_dir():
        return names  # which has no other
    wanted, before = sorted(rows, reverse=True), 0
    with suppress(InvalidSamples, OSError):  # a file has changed since it was uploaded
        for count, name in _parts(files, dialect):
            while wanted and wanted[-1] <= before + count:
                row = wanted.pop()
                names[row] = name(row - before - 1)
            if not wanted:
                break
            before += count
    return names


def _parts(files: Sequence[Path], dialect: Dialect) -> Iterator[tuple[int, Callable[[int], str]]]:
    """Yield parts of all files: the number of their rows, and a function that names one by its number from 0."""
    for file in files:
        if file.is_dir():
            names = [quoted(name) for name, _ in text_files(file)]
            yield len(names), names.__getitem__
        else:
            for samples in read_samples(file, None, dialect):
                yield max(map(len, samples.arrays.values()), default=0), partial(_name, samples, file)


def _name(samples: Samples, file: Path, row: int) -> str:
    return f"{samples.where(row)} of {quoted(file.name)}"
