"""Reads text files as tables: each line is a sample, whose label is the name of its file."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from raydient.spec.csv_text import Dialect
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.text_files import TEXT_COLUMNS, TextError, label_of, read_lines

from .arrow_file import read_source
from .limits import Budget
from .raw import RawData, unreadable
from .table import Table
from .tables import Diagnosis, read_tables

SCHEMA = pa.schema([(name, pa.large_string()) for name in TEXT_COLUMNS])


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the lines of text files; see `read_tables`."""
    return read_tables(files, spec, as_written, read_table, budget)


def read_table(path: Path, spec: DatasetSpec, budget: Budget) -> Table | Diagnosis:
    """Read one file; see `read_source`."""
    need_input(spec)
    with refusing_no_text():
        return read_source(_Lines(path, spec.csv.dialect), spec, budget, lambda row: f"line {row + 1}")


def need_input(spec: DatasetSpec) -> None:
    """Raise InvalidSpec if a job takes texts for numbers, because it names no columns."""
    if not spec.inputs and not spec.features:
        text, _ = TEXT_COLUMNS
        example = f"`inputs: {{words: {{columns: {text}, text: {{tokens: word, length: 100}}}}}}`"
        raise InvalidSpec([FieldError("dataset.inputs", f"texts need an input that cuts them, such as {example}")])


@contextmanager
def refusing_no_text(name: str = "") -> Iterator[None]:
    """Translate a TextError to an error of the data; of a folder with the name of the file in it."""
    try:
        yield
    except TextError as error:
        if name:
            raise InvalidSpec([FieldError("dataset.uri", f"{name} {error}")]) from error
        raise unreadable(str(error)) from error


def batch_of(texts: Sequence[str], labels: Sequence[str], budget: Budget) -> pa.RecordBatch:
    """Return texts and labels as rows. Raises InvalidSpec if they take too much memory."""
    columns = [pa.array(column, pa.large_string()) for column in (texts, labels)]
    budget.spend(sum(column.nbytes for column in columns))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


class _Lines:
    """A `Source` of the lines of a file."""

    schema = SCHEMA
    rows = 0

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path, self._dialect, self._label = path, dialect, label_of(path)
        self.folder = path.parent

    def batches(self, names: list[str], budget: Budget, most: int) -> Iterator[pa.RecordBatch]:
        """See `Source`."""
        for lines in read_lines(self._path, self._dialect):
            for start in range(0, len(lines), most):
                part = lines[start : start + most]
                yield batch_of(part, [self._label] * len(part), budget)
