"""Finds the errors of a CSV file that the fast reader refuses: each column's first bad value, and their number."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from raydient.spec.errors import FieldError
from raydient.spec.printable import printable
from raydient.workers.row_errors import row_name

from .csv_header import Header, not_decoded
from .csv_rows import read_batches, walk
from .csv_values import with_points
from .faults import Fault, fault_errors, find_fault
from .limits import Budget
from .raw import SHOWN_ERRORS, unreadable
from .table_columns import Column, Columns
from .tables import Diagnosis


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
    faults = [fault for column, texts in zip(used, values, strict=True) if (fault := find_fault(column, texts))]
    if not faults:
        raise unreadable(f"is not a CSV file that can be read: {printable(reason)[:200]}")
    bad = {fault.column.place for fault in faults}
    by_place = {column.place: texts for column, texts in zip(used, values, strict=True)}
    labels = {
        name: [by_place[column.place].cast(pa.large_string()) for column in several]
        for name, several in columns.labels.items()
        if bad.isdisjoint(column.place for column in several)
    }
    return Diagnosis(header.names, columns, rows, _errors(path, header, faults), labels)


def _texts(path: Path, header: Header, columns: Sequence[Column]) -> list[pa.LargeBinaryArray]:
    """Read the columns as they are written, null where a value is missing."""
    budget = Budget()
    batches = []
    try:
        for batch in read_batches(path, header, {column.place: pa.large_binary() for column in columns}):
            budget.spend(batch.nbytes)
            cells = [with_points(values, header.dialect) for values in batch.columns]
            batches.append(pa.RecordBatch.from_arrays(cells, batch.schema.names))
    except pa.ArrowException as error:
        raise unreadable(f"is not a CSV file that can be read: {printable(str(error))[:200]}") from error
    table = pa.Table.from_batches(batches)
    return [pa.concat_arrays(table.column(place).chunks) for place in range(len(columns))]


def _errors(path: Path, header: Header, faults: Sequence[Fault]) -> list[FieldError]:
    """Return the errors of the faults, with the values as they are written in the file."""
    wanted = {fault.row for fault in faults[:SHOWN_ERRORS]}
    last = max(wanted)
    shown_rows = {}
    for row, (line, cells) in enumerate(walk(path, header)):
        if row in wanted:
            shown_rows[row] = line, cells
        if row == last:
            break

    def show(fault: Fault) -> tuple[str, str]:
        line, cells = shown_rows[fault.row]
        return cells[fault.column.place], f"{row_name(fault.row)} (line {line})"

    return fault_errors(faults, show, not_decoded(header.dialect))
