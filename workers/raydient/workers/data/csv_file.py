"""Reading CSV files: a fast way for good files, and a careful one that finds out what is wrong with the others."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.layers import INPUT

from .raw import Labels, RawData, RawInput, is_number, label_path, missing

BLOCK_BYTES = 16 * 2**20
"""Read at a time; a row must fit."""

SHOWN_ERRORS = 10
"""Columns with bad values that are named one by one."""

MISSING_TEXTS = frozenset(pa_csv.ConvertOptions().null_values)
"""What stands for a missing value: nothing, NA, NaN, null and their like."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that a job names.

    Attributes:
        inputs: of each input, by its name.
        labels: of each label, by its name.
        numbers: those read as numbers.
        texts: those read as text: labels and categories.
        paths: where each stands in the specification.
    """

    inputs: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str]
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    paths: Mapping[str, str]


def read(path: Path, spec: DatasetSpec) -> RawData:
    """The samples of a CSV file with a header.

    Raises:
        InvalidSpec: no table, or columns that are not there.
    """
    try:
        header = _header(path)
        columns = _columns(header, spec)
        table = _parse(path, columns)
        raw = None if table is None else _raw(table, columns)
        return raw or _inspect(path, header, columns)
    except UnicodeDecodeError as error:
        raise _unreadable("is not UTF-8 text") from error
    except csv.Error as error:
        raise _unreadable(f"is not a CSV file: {error}") from error


def _unreadable(message: str) -> InvalidSpec:
    # without the name, which is the server's own where the file was uploaded
    return InvalidSpec([FieldError("dataset.uri", f"the file {message}")])


def _header(path: Path) -> list[str]:
    """The column names, each there once."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next((row for row in reader if row), None)
        if header is None:
            raise _unreadable("is empty")
        has_rows = any(reader)
    if all(is_number(name) for name in header):
        raise _unreadable(f"has no header: its first line has only numbers ({', '.join(header[:3])}, ...)")
    problems = [f"has no name for column {i}" for i, name in enumerate(header, start=1) if not name.strip()]
    twice = sorted({name for name in header if name.strip() and header.count(name) > 1}) if _repeats(header) else []
    problems += [f"has more than one column named {name!r}" for name in twice]
    if not has_rows:
        problems.append("has a header but no rows")
    if problems:
        raise InvalidSpec(FieldError("dataset.uri", f"the file {problem}") for problem in problems)
    return header


def _repeats(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def _columns(header: list[str], spec: DatasetSpec) -> _Columns:
    """The columns that are asked for; in the plain case all but label and weight are features."""
    labels = spec.read_beside
    paths = {label: label_path(spec, name) for name, label in labels.items()}
    if spec.inputs:
        inputs = {name: given.columns for name, given in spec.inputs.items()}
        for name, names in inputs.items():
            paths |= {column: f"dataset.inputs.{name}.columns[{i}]" for i, column in enumerate(names)}
    else:
        features = spec.features or tuple(name for name in header if name not in labels.values())
        inputs = {INPUT: features}
        paths |= {
            name: f"dataset.features[{i}]" if spec.features else "dataset.features" for i, name in enumerate(features)
        }
        if not features:
            raise InvalidSpec([FieldError("dataset.features", "the file has no column besides the label")])
    errors = [
        missing(where, name, "a column of the file", header) for name, where in paths.items() if name not in header
    ]
    if errors:
        raise InvalidSpec(errors)
    kept_as_text = {c for given in spec.inputs.values() if given.categories for c in given.columns}
    kept_as_text |= set(labels.values())
    texts = tuple(name for name in paths if name in kept_as_text)
    return _Columns(inputs, labels, tuple(name for name in paths if name not in kept_as_text), texts, paths)


def _parse(path: Path, columns: _Columns) -> pa.Table | None:
    """The columns; None if something is wrong with them."""
    try:
        return pa_csv.read_csv(
            path,
            # one thread, as everywhere in a worker
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=[*columns.numbers, *columns.texts],
                column_types={
                    **dict.fromkeys(columns.numbers, pa.float64()),
                    **dict.fromkeys(columns.texts, pa.string()),
                },
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _raw(table: pa.Table, columns: _Columns) -> RawData | None:
    """What the table holds; None if values are missing or not finite."""
    if any(table.column(name).null_count for name in columns.texts):
        return None
    inputs = {}
    for name, names in columns.inputs.items():
        values = _texts(table, names) if set(names) <= set(columns.texts) else _stack(table, names)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return None
        inputs[name] = RawInput(values, names, is_table=True)
    return RawData(inputs, {name: _labels(table.column(c).to_pylist()) for name, c in columns.labels.items()})


def _stack(table: pa.Table, columns: Sequence[str]) -> NDArray[np.float64]:
    """The columns side by side, (n, columns); NaN where a value is missing."""
    x = np.empty((table.num_rows, len(columns)))
    for i, name in enumerate(columns):
        x[:, i] = table.column(name).to_numpy()
    return x


def _texts(table: pa.Table, columns: Sequence[str]) -> NDArray[np.object_]:
    """The same of columns of text."""
    return np.stack([np.array(table.column(name).to_pylist(), object) for name in columns], axis=1)


def _labels(texts: list[str]) -> Labels:
    """Numbers if every one is a number, else the texts."""
    return np.array(texts, np.float64) if all(is_number(text) for text in texts) else texts


def _inspect(path: Path, header: list[str], columns: _Columns) -> RawData:
    """Go through a bad file cell by cell: for each column the first bad value, and how many there are."""
    first: dict[str, str] = {}
    count: dict[str, int] = {}
    texts: dict[str, list[str]] = {name: [] for name in columns.labels.values()}
    places = {name: header.index(name) for name in (*columns.numbers, *columns.texts)}

    def note(name: str, problem: str) -> None:
        first.setdefault(name, problem)
        count[name] = count.get(name, 0) + 1

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        next(row for row in rows if row)
        for number, row in enumerate((row for row in rows if row), start=1):
            where = f"row {number} (line {rows.line_num})"
            if len(row) != len(header):
                message = f"has {len(header)} columns in its header but {len(row)} in {where}"
                raise _unreadable(message)
            for name, place in places.items():
                if row[place].strip() in MISSING_TEXTS:
                    note(name, f"{where} has no value")
                elif name in columns.texts:
                    texts.get(name, []).append(row[place])
                elif not is_number(row[place]):
                    note(name, f"{row[place]!r} in {where} is not a number")
                elif not isfinite(float(row[place])):
                    note(name, f"{row[place]!r} in {where} is not finite")
    if not first:
        raise _unreadable("is not a CSV file that can be read")
    errors = []
    for name, problem in list(first.items())[:SHOWN_ERRORS]:
        more = f" ({count[name]} such rows)" if count[name] > 1 else ""
        errors.append(FieldError(columns.paths[name], f"column {name!r}: {problem}{more}"))
    if len(first) > SHOWN_ERRORS:
        where = "dataset.features" if INPUT in columns.inputs else "dataset.inputs"
        errors.append(FieldError(where, f"{len(first) - SHOWN_ERRORS} more columns have bad values"))
    labels = {name: _labels(texts[column]) for name, column in columns.labels.items() if column not in first}
    return RawData(None, labels, tuple(errors))
