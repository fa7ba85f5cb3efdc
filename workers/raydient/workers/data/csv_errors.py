"""Finds the errors of a CSV file that the fast reader refuses: each column's first bad value, and their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydient.spec.errors import FieldError
from raydient.spec.printable import printable
from raydient.spec.values import is_missing, number_hint, number_of, quoted

from .csv_header import Column, Columns, Header
from .csv_rows import read_batches, walk
from .limits import Budget
from .raw import SHOWN_ERRORS, unreadable

CELL_BYTES = 4096
"""Maximum bytes of a label or category."""

IMPUTE = "`impute: median` fills such values, in dataset.columns for {}, in dataset for all"
"""Remedy for missing numbers in a column."""

_FINE, _MISSING, _NOT_UTF8, _NO_NUMBER, _NOT_FINITE, _TOO_LONG = range(6)


@dataclass(frozen=True, slots=True)
class _Fault:
    """A column's first bad value.

    Attributes:
        column: the column.
        row: index of the row, from 0.
        kind: why the value is bad.
        count: number of bad values in the column.
    """

    column: Column
    row: int
    kind: int
    count: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The errors of a file.

    Attributes:
        rows: number of rows of the table.
        errors: at least one, with the paths of the columns.
        texts: the columns of the labels without errors, by name.
    """

    rows: int
    errors: tuple[FieldError, ...]
    texts: Mapping[str, Sequence[pa.LargeStringArray]]


def find_errors(path: Path, header: Header, columns: Columns, reason: str) -> Diagnosis:
    """Find the errors of a file that the fast reader refused.

    Args:
        path: of the file.
        header: of the file.
        columns: columns that the job uses.
        reason: the fast reader's message, used if no error is found.

    Raises:
        InvalidSpec: the file is not a table.
    """
    rows = sum(1 for _ in walk(path, header))
    used = columns.all
    values = _texts(path, header, used)
    faults = [fault for column, texts in zip(used, values, strict=True) if (fault := _fault(column, texts))]
    if not faults:
        raise unreadable(f"is not a CSV file that can be read: {printable(reason)[:200]}")
    bad = {fault.column.place for fault in faults}
    by_place = {column.place: texts for column, texts in zip(used, values, strict=True)}
    labels = {
        name: [by_place[column.place].cast(pa.large_string()) for column in several]
        for name, several in columns.labels.items()
        if bad.isdisjoint(column.place for column in several)
    }
    return Diagnosis(rows, tuple(_errors(path, header, faults)), labels)


def _texts(path: Path, header: Header, columns: Sequence[Column]) -> list[pa.LargeBinaryArray]:
    """Read the columns as they are written, null where a value is missing."""
    budget = Budget()
    batches = []
    try:
        for batch in read_batches(path, header, {column.place: pa.large_binary() for column in columns}):
            budget.spend(batch.nbytes, texts=batch.num_rows)
            batches.append(batch)
    except pa.ArrowException as error:
        raise unreadable(f"is not a CSV file that can be read: {printable(str(error))[:200]}") from error
    table = pa.Table.from_batches(batches)
    return [pa.concat_arrays(table.column(place).chunks) for place in range(len(columns))]


def _fault(column: Column, values: pa.LargeBinaryArray) -> _Fault | None:
    kinds = _kinds_of_text(values) if column.is_text else _kinds_of_numbers(values)
    if column.is_optional:
        kinds = np.where(_are_missing(values), _FINE, kinds)
    bad = np.flatnonzero(kinds)
    return _Fault(column, int(bad[0]), int(kinds[bad[0]]), len(bad)) if len(bad) else None


def _kinds_of_text(values: pa.LargeBinaryArray) -> NDArray[np.int8]:
    kinds = np.zeros(len(values), np.int8)
    for row, value in enumerate(values.to_pylist()):
        if value is None or not value.strip():
            kinds[row] = _MISSING
        elif len(value.strip()) > CELL_BYTES:
            kinds[row] = _TOO_LONG
        elif not _is_utf8(value):
            kinds[row] = _NOT_UTF8
    return kinds


def _are_missing(values: pa.LargeBinaryArray) -> NDArray[np.bool_]:
    """True for each value that stands for a missing number."""
    return np.array([value is None or is_missing(value.decode("latin-1")) for value in values.to_pylist()], np.bool_)


def _kinds_of_numbers(values: pa.LargeBinaryArray) -> NDArray[np.int8]:
    try:
        numbers = pc.cast(pc.ascii_trim_whitespace(values.cast(pa.large_string())), pa.float64())
    except pa.ArrowInvalid:
        return np.array([_kind_of_number(value) for value in values.to_pylist()], np.int8)
    kinds = np.where(np.isfinite(numbers.to_numpy(zero_copy_only=False)), _FINE, _NOT_FINITE)
    kinds[values.is_null().to_numpy(zero_copy_only=False)] = _MISSING
    return kinds.astype(np.int8)


def _kind_of_number(value: bytes | None) -> int:
    if value is None or not value.strip():
        return _MISSING
    if not _is_utf8(value):
        return _NOT_UTF8
    if (number := number_of(value.decode())) is None:
        return _NO_NUMBER
    return _FINE if isfinite(number) else _NOT_FINITE


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _errors(path: Path, header: Header, faults: Sequence[_Fault]) -> list[FieldError]:
    """Return one error for each of the first SHOWN_ERRORS columns with faults, and one for all others."""
    reported = faults[:SHOWN_ERRORS]
    last = max(fault.row for fault in reported)
    wanted = {fault.row for fault in reported}
    shown_rows = {}
    for row, (line, cells) in enumerate(walk(path, header)):
        if row in wanted:
            shown_rows[row] = line, cells
        if row == last:
            break
    errors = []
    for fault in reported:
        line, cells = shown_rows[fault.row]
        more = f" ({fault.count} such rows)" if fault.count > 1 else ""
        text = _sentence(fault, cells[fault.column.place], f"row {fault.row + 1} (line {line})", more)
        errors.append(FieldError(fault.column.path, f"column {quoted(fault.column.name)}: {text}"))
    if more_columns := len(faults) - len(reported):
        errors.append(FieldError(reported[-1].column.path, f"{more_columns} more columns have bad values"))
    return errors


def _sentence(fault: _Fault, text: str, where: str, more: str) -> str:
    value = quoted(text)
    mend = "" if fault.column.is_text else f"; {IMPUTE.format(quoted(fault.column.name))}"
    if fault.kind == _MISSING and not text.strip():
        return f"{where} has no value{more}{mend}"
    quotes = f'; if it is a value, write it in quotes: "{text.strip()}"' if fault.column.is_text else ""
    problem = {
        _MISSING: f"stands for a missing value{more}{quotes}{mend}",
        _NOT_UTF8: f"is not UTF-8 text{more}: save the file with that encoding",
        _NO_NUMBER: f"is not a number{more}{number_hint(text)}",
        _NOT_FINITE: f"is not finite{more}",
        _TOO_LONG: f"is longer than {CELL_BYTES} bytes{more}",
    }
    return f"{value} in {where} {problem[fault.kind]}"
