"""Reads CSV files with Arrow. `csv_errors` finds the errors of files that this fast reader refuses."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from raydient.spec.dataset import Dataset as DatasetSpec

from .csv_errors import find_errors
from .csv_header import Header, read_header, refuse_numbers
from .csv_rows import read_batches
from .csv_values import to_numbers, with_points
from .limits import Budget
from .moments import seconds_of_texts
from .raw import RawData, unreadable
from .table import BadValueError, Table
from .table_columns import Column, Columns, find_columns
from .tables import Diagnosis, read_tables


def read(files: Sequence[Path], spec: DatasetSpec, as_written: Collection[str], budget: Budget) -> RawData:
    """Read the samples of CSV files with headers; see `read_tables`."""
    return read_tables(files, spec, as_written, read_table, budget)


def read_table(path: Path, spec: DatasetSpec, budget: Budget) -> Table | Diagnosis:
    """Read one file.

    Raises:
        InvalidSpec: the file is not a table, or a column is missing.
    """
    header = read_header(path, spec.csv.dialect)
    refuse_numbers(header, spec)
    columns = find_columns(header.names, spec)
    try:
        table = _read(path, header, columns, budget)
    except (pa.ArrowException, BadValueError) as error:
        return find_errors(path, header, columns, str(error))
    table.read_images(path.parent)
    return table


def _read(path: Path, header: Header, columns: Columns, budget: Budget) -> Table:
    """Read the file; where a number is not in the form that is read fastest, again with every cell as text.

    Raises:
        ArrowInvalid, BadValueError, InvalidSpec: see `_table`.
    """
    spent = budget.spent
    with suppress(pa.ArrowException, BadValueError):
        return _table(path, header, columns, budget)
    budget.spent = spent
    return _table(path, header, columns, budget, cells=True)


def _table(path: Path, header: Header, columns: Columns, budget: Budget, *, cells: bool = False) -> Table:
    """Read the file.

    Args:
        path: of the file.
        header: of the file.
        columns: the columns that the job uses.
        budget: limit on the memory.
        cells: read every number as text first, in which it may be `true` or `false`.

    Raises:
        ArrowInvalid, BadValueError: the file has an error, which `csv_errors` locates.
        InvalidSpec: the file has no rows, or takes too much memory.
    """
    used, table = columns.all, Table(header.names, columns, budget)

    def are_cells(column: Column) -> bool:
        return column.is_text or column.is_optional or column.is_date or cells

    def read_cells(column: Column, values: pa.Array) -> pa.Array:
        if not are_cells(column):
            return values
        texts = with_points(values, header.dialect)
        if column.is_text:
            return texts
        return seconds_of_texts(texts) if column.is_date else to_numbers(texts)

    types = {column.place: pa.large_string() if are_cells(column) else pa.float64() for column in used}
    for batch in read_batches(path, header, types):
        texts = [values for column, values in zip(used, batch.columns, strict=True) if column.is_text]
        budget.spend(sum(values.nbytes for values in texts))
        table.add([read_cells(column, values) for column, values in zip(used, batch.columns, strict=True)])
    if not table.rows:
        raise unreadable("has a header but no rows")
    return table
