"""Reads a table from one file or several."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT
from raydient.spec.values import quoted

from .limits import Budget
from .raw import SHOWN_ERRORS, RawData, refusing_unreadable
from .table import Table, raw_data
from .table_columns import Columns


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The errors of a file.

    Attributes:
        names, columns: see `Table`.
        rows: number of rows of the table.
        errors: at least one, with the paths of the columns.
        labels: the columns of the labels without errors, by name.
    """

    names: Sequence[str]
    columns: Columns
    rows: int
    errors: Sequence[FieldError]
    labels: dict[str, list[pa.Array]]


ReadOne = Callable[[Path, DatasetSpec, Budget], Table | Diagnosis]
"""Reads what a specification selects of one file. Raises InvalidSpec if it is no table, or a column is missing."""


def read_tables(
    files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], read_one: ReadOne, budget: Budget
) -> RawData:
    """Read the rows of one file, or of several, one after another.

    Args:
        files: at least one; all have the columns of the first, in any order.
        spec: which columns to read; all others may hold anything.
        as_written: names of labels to return as texts, even if they are numbers.
        read_one: reads a file.
        budget: limit on the memory.

    Raises:
        InvalidSpec: a file is no table, or a column is missing; of several files the messages begin with its name.
    """
    if len(files) == 1:
        one = read_one(files[0], spec, budget)
        if isinstance(one, Diagnosis):
            return raw_data(one.columns, one.labels, one.rows, as_written, errors=one.errors, budget=budget)
        return one.result(as_written)
    return _read_several(files, spec, as_written, read_one, budget)


def _read_several(
    files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], read_one: ReadOne, budget: Budget
) -> RawData:
    first: Table | Diagnosis | None = None
    table: Table | None = None
    errors: list[FieldError] = []
    rows: list[tuple[str, int]] = []
    for file in files:
        with _naming(file, spec):
            one = read_one(file, spec if first is None else _like(first.columns, spec), budget)
            if first is None:
                first = one
            elif not (spec.inputs or spec.features):
                _refuse_further(one.names, first.names, files[0])
        rows.append((file.name, one.rows))
        if isinstance(one, Diagnosis):
            errors += [_named(file, error, spec) for error in one.errors]
        elif table is None:
            table = one
        else:
            table.extend(one)
        if len(errors) >= SHOWN_ERRORS:
            break
    assert first is not None
    if errors or table is None:
        together = sum(number for _, number in rows)
        return raw_data(first.columns, {}, together, as_written, errors=errors, budget=budget)
    return replace(table.result(as_written), files=tuple(rows))


def _like(first: Columns, spec: DatasetSpec) -> DatasetSpec:
    """Return the specification of a further file: where it names no features, they are those of the first file."""
    if spec.inputs or spec.features:
        return spec
    return spec.model_copy(update={"features": tuple(column.name for column in first.inputs[INPUT])})


def _refuse_further(names: Sequence[str], of_first: Sequence[str], first: Path) -> None:
    known = set(of_first)
    if further := [name for name in names if name not in known]:
        text = ", ".join(map(quoted, further[:SHOWN_ERRORS]))
        message = f"{quoted(first.name)} has no column {text}: name the columns to use in `dataset.features`"
        raise InvalidSpec([FieldError("dataset.features", message)])


@contextmanager
def _naming(file: Path, spec: DatasetSpec) -> Iterator[None]:
    """Begin the messages of an InvalidSpec with the name of the file."""
    try:
        with refusing_unreadable(spec.csv.encoding):
            yield
    except InvalidSpec as invalid:
        raise InvalidSpec(_named(file, error, spec) for error in invalid.errors) from invalid


def _named(file: Path, error: FieldError, spec: DatasetSpec) -> FieldError:
    """Return an error with the name of the file; its path is one of the specification, not of `_like`."""
    path = error.path if spec.features else re.sub(r"^dataset\.features\[\d+\]", "dataset.features", error.path)
    return replace(error, path=path, message=f"{quoted(file.name)}: {error.message}")
