"""Names of rows in errors of the service, where it has as one file what are several on this machine."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
        if dataset.images or not any(_ROW.search(error.message) for error in invalid.errors):
            raise
        raise InvalidSpec(_named(error, dataset, directory) for error in invalid.errors) from invalid


def _named(error: FieldError, dataset: Dataset, directory: Path) -> FieldError:
    if not error.path.startswith("dataset."):
        return error
    is_held_out = error.path.startswith("dataset.validation")
    files = _files(dataset, dataset.validation_uris if is_held_out else dataset.training_uris, directory)
    if len(files) == 1 and not files[0].is_dir():
        return error
    dialect = dataset.csv.dialect
    message = _ROW.sub(lambda match: _name(int(match[1]) - 1, files, dialect) or match[0], error.message)
    return replace(error, message=message)


def _files(dataset: Dataset, fields: Collection[str], directory: Path) -> list[Path]:
    """Return the files of some settings in order; none if the server has one of them."""
    local = local_files(dataset, directory)
    paths = [path for field in fields if (path := local[field]) is not None]
    return files_of(data_path(paths)) if len(paths) == len(fields) else []


def _name(row: int, files: Sequence[Path], dialect: Dialect) -> str:
    """Return the name of a row of all files, numbered from 0; empty if it cannot be found."""
    try:
        for file in files:
            if file.is_dir():
                names = [name for name, _ in text_files(file)]
                if row < len(names):
                    return quoted(names[row])
                row -= len(names)
                continue
            for part in read_samples(file, None, dialect):
                if row < _count(part):
                    return f"{part.where(row)} of {quoted(file.name)}"
                row -= _count(part)
    except (InvalidSamples, OSError):  # it has changed since it was uploaded
        pass
    return ""


def _count(part: Samples) -> int:
    return max(map(len, part.arrays.values()), default=0)
