"""Reading CSV files: a fast way for good files, and a careful one that finds out what is wrong with the others."""

import csv
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec

from .raw import Labels, RawData, is_number, missing

BLOCK_BYTES = 16 * 2**20
"""Read at a time; a row must fit."""

SHOWN_ERRORS = 10
"""Columns with bad values that are named one by one."""

MISSING_TEXTS = frozenset(pa_csv.ConvertOptions().null_values)
"""What stands for a missing value: nothing, NA, NaN, null and their like."""


def read(path: Path, spec: DatasetSpec) -> RawData:
    """The samples of a CSV file with a header.

    Raises:
        InvalidSpec: no table, or columns that are not there.
    """
    try:
        header = _header(path)
        features = _columns(header, spec)
        table = _parse(path, [*features, spec.label])
        if table is not None:
            x = _stack(table, features)
            labels = table.column(spec.label)
            if np.isfinite(x).all() and not labels.null_count:
                return RawData(x, _labels(labels.to_pylist()), features)
        return _inspect(path, header, features, spec)
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


def _columns(header: list[str], spec: DatasetSpec) -> tuple[str, ...]:
    """The feature columns: those asked for, or all but the label."""
    errors: list[FieldError] = []
    if spec.label not in header:
        errors.append(missing("dataset.label", spec.label, "a column of the file", header))
    for i, name in enumerate(spec.features):
        if name not in header:
            errors.append(missing(f"dataset.features[{i}]", name, "a column of the file", header))
    features = spec.features or tuple(name for name in header if name != spec.label)
    if not features:
        errors.append(FieldError("dataset.features", "the file has no column besides the label"))
    if errors:
        raise InvalidSpec(errors)
    return features


def _parse(path: Path, columns: list[str]) -> pa.Table | None:
    """The columns, the last one as text and the others as numbers; None if something is wrong with them."""
    *numbers, label = columns
    try:
        return pa_csv.read_csv(
            path,
            # one thread, as everywhere in a worker
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                include_columns=columns,
                column_types={**dict.fromkeys(numbers, pa.float64()), label: pa.string()},
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _stack(table: pa.Table, columns: Sequence[str]) -> NDArray[np.float64]:
    """The columns side by side, (n, columns); NaN where a value is missing."""
    x = np.empty((table.num_rows, len(columns)))
    for i, name in enumerate(columns):
        x[:, i] = table.column(name).to_numpy()
    return x


def _labels(texts: list[str]) -> Labels:
    """Numbers if every one is a number, else the texts."""
    return np.array(texts, np.float64) if all(is_number(text) for text in texts) else texts


def _inspect(path: Path, header: list[str], features: tuple[str, ...], spec: DatasetSpec) -> RawData:
    """Go through a bad file cell by cell: for each column the first bad value, and how many there are."""
    first: dict[str, str] = {}
    count: dict[str, int] = {}
    labels: list[str] = []
    places = {name: header.index(name) for name in (*features, spec.label)}

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
                elif name == spec.label:
                    labels.append(row[place])
                elif not is_number(row[place]):
                    note(name, f"{row[place]!r} in {where} is not a number")
                elif not isfinite(float(row[place])):
                    note(name, f"{row[place]!r} in {where} is not finite")
    if not first:
        raise _unreadable("is not a CSV file that can be read")
    errors = []
    for name, problem in list(first.items())[:SHOWN_ERRORS]:
        more = f" ({count[name]} such rows)" if count[name] > 1 else ""
        errors.append(FieldError(_column_path(name, spec), f"column {name!r}: {problem}{more}"))
    if len(first) > SHOWN_ERRORS:
        errors.append(FieldError("dataset.features", f"{len(first) - SHOWN_ERRORS} more columns have bad values"))
    return RawData(None, None if spec.label in first else _labels(labels), features, tuple(errors))


def _column_path(name: str, spec: DatasetSpec) -> str:
    if name == spec.label:
        return "dataset.label"
    return f"dataset.features[{spec.features.index(name)}]" if name in spec.features else "dataset.features"
