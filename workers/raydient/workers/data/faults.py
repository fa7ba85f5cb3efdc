"""The bad values of a table's columns: their kinds, and the sentences about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydient.spec.dates import FORMS, read_date
from raydient.spec.errors import FieldError
from raydient.spec.values import is_missing, number_hint, number_of, quoted

from .moments import is_date, seconds_of_typed
from .raw import SHOWN_ERRORS
from .table_columns import Column

IMPUTE = "`impute: median` fills such values, in dataset.columns for {}, in dataset for all"
"""Remedy for missing numbers in a column."""
CATEGORIES = ": leave the column out, or learn from its words by an input of dataset.inputs with `categories: true`"
"""Remedy for a feature whose first bad value is no number in another way of writing."""
DATE = "`date: {{parts: [year, month, day]}}` in dataset.columns for {} makes numbers of a date"
"""Remedy for a date in a column of numbers."""

_FINE, _MISSING, _NOT_UTF8, _NO_NUMBER, _NOT_FINITE, _TOO_LONG, _NO_DATE = range(7)


@dataclass(frozen=True, slots=True)
class Fault:
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


def find_fault(column: Column, values: pa.Array) -> Fault | None:
    """Find the first bad value of a column.

    Args:
        column: the column.
        values: texts as large binary, null where a value is missing; or numbers, booleans or dates in their own type.
    """
    if pa.types.is_large_binary(values.type):
        if column.is_text:
            kinds = _kinds_of_text(values, column.most_bytes)
        else:
            kinds = _kinds_of_dates(values) if column.is_date else _kinds_of_numbers(values)
        if column.is_optional:
            kinds[_are_missing(values)] = _FINE
    else:
        infinity = _FINE if column.is_text else _NO_DATE if column.is_date else _NOT_FINITE
        kinds = _kinds_of_typed(seconds_of_typed(values) if is_date(values.type) else values, infinity)
        if column.is_optional:
            kinds[kinds == _MISSING] = _FINE
    bad = np.flatnonzero(kinds)
    return Fault(column, int(bad[0]), int(kinds[bad[0]]), len(bad)) if len(bad) else None


def fault_errors(
    faults: Sequence[Fault], show: Callable[[Fault], tuple[str, str]], not_decoded: str = "is not UTF-8 text{}"
) -> list[FieldError]:
    """Return one error for each of the first SHOWN_ERRORS columns with faults, and one for all others.

    Args:
        faults: one for each column, at least one.
        show: returns the value as text, empty if there is none, and the place in the file.
        not_decoded: sentence about a text whose bytes are not of the file's encoding, with `{}` for their number.
    """
    reported = faults[:SHOWN_ERRORS]
    errors = []
    for fault in reported:
        text, where = show(fault)
        more = f" ({fault.count} such rows)" if fault.count > 1 else ""
        message = f"column {quoted(fault.column.name)}: {_sentence(fault, text, where, more, not_decoded)}"
        errors.append(FieldError(fault.column.path, message))
    if more_columns := len(faults) - len(reported):
        errors.append(FieldError(reported[-1].column.path, f"{more_columns} more columns have bad values"))
    return errors


def _kinds_of_typed(values: pa.Array, infinity: int) -> NDArray[np.int8]:
    kinds = np.zeros(len(values), np.int8)
    if pa.types.is_floating(values.type):
        numbers = values.to_numpy(zero_copy_only=False)
        kinds[np.isinf(numbers)] = infinity
        kinds[np.isnan(numbers)] = _MISSING
    kinds[values.is_null().to_numpy(zero_copy_only=False)] = _MISSING
    return kinds


def _kinds_of_text(values: pa.LargeBinaryArray, most_bytes: int) -> NDArray[np.int8]:
    kinds = np.zeros(len(values), np.int8)
    for row, value in enumerate(values.to_pylist()):
        if value is None or not value.strip():
            kinds[row] = _MISSING
        elif len(value.strip()) > most_bytes:
            kinds[row] = _TOO_LONG
        elif not _is_utf8(value):
            kinds[row] = _NOT_UTF8
    return kinds


def _kinds_of_dates(values: pa.LargeBinaryArray) -> NDArray[np.int8]:
    kinds = np.zeros(len(values), np.int8)
    for row, value in enumerate(values.to_pylist()):
        if value is None or not value.strip():
            kinds[row] = _MISSING
        elif not _is_utf8(value):
            kinds[row] = _NOT_UTF8
        elif read_date(value.decode()) is None:
            kinds[row] = _NO_DATE
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


def _sentence(fault: Fault, text: str, where: str, more: str, not_decoded: str) -> str:
    value = quoted(text)
    mend = "" if fault.column.is_text else f"; {IMPUTE.format(quoted(fault.column.name))}"
    if fault.kind == _MISSING and not text.strip():
        return f"{where} has no value{more}{mend}"
    quotes = f'; if it is a value, write it in quotes: "{text.strip()}"' if fault.column.is_text else ""
    words = CATEGORIES if fault.column.path.startswith("dataset.features") else ""
    if read_date(text) is not None:
        words = f": {DATE.format(quoted(fault.column.name))}"
    problem = {
        _MISSING: f"stands for a missing value{more}{quotes}{mend}",
        _NOT_UTF8: not_decoded.format(more),
        _NO_NUMBER: f"is not a number{more}{number_hint(text) or words}",
        _NOT_FINITE: f"is not finite{more}",
        _NO_DATE: f"is not a date{more}, such as {FORMS}",
        _TOO_LONG: f"is longer than {fault.column.most_bytes} bytes{more}",
    }
    return f"{value} in {where} {problem[fault.kind]}"
