"""Reads Parquet and Arrow files through one interface, with the same result as a CSV file of the same table."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.printable import printable
from raydient.spec.values import quoted
from raydient.workers.row_errors import row_name

from .arrow_values import converted, plain, takes
from .faults import DATE, Fault, fault_errors, find_fault
from .image_values import BATCH_ROWS as IMAGE_ROWS
from .image_values import has_bytes
from .limits import Budget
from .moments import is_date, iso_texts
from .pipelined import pipelined
from .raw import SHOWN_ERRORS, unreadable
from .table import BadValueError, Table
from .table_columns import MAXIMUM_COLUMNS, Column, Columns, find_columns
from .tables import Diagnosis

BATCH_ROWS = 16_384
"""Rows that are converted at a time: texts of 4096 bytes take 64 MiB."""


class Source(Protocol):
    """An open file."""

    schema: pa.Schema
    folder: Path
    """The folder of the file."""
    rows: int
    """The number of rows that the file declares; 0 if it declares none."""

    def batches(self, names: list[str], budget: Budget, most: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows with at least these columns, at most `most` at a time; account for the texts among them.

        The names of the columns are unique.

        Raises:
            InvalidSpec: they take too much memory.
        """


def read_source(
    source: Source, spec: DatasetSpec, budget: Budget, place: Callable[[int], str] = row_name
) -> Table | Diagnosis:
    """Read the samples of a file.

    Args:
        source: the file.
        spec: which columns to read; all others may hold anything.
        budget: limit on the memory.
        place: returns the text by which errors name a sample, for its number from 0.

    Raises:
        InvalidSpec: the file has no rows, or a column is missing or has a type that is not read.
    """
    if len(source.schema.names) > MAXIMUM_COLUMNS:
        raise unreadable(f"has {len(source.schema.names)} columns, more than the {MAXIMUM_COLUMNS} that are read")
    columns = find_columns(source.schema.names, spec)
    _check_types(source.schema, columns.all)
    columns = _with_bytes(columns, source.schema)
    table = Table(source.schema.names, columns, budget)
    table.expect(source.rows)
    try:
        for values in _blocks(source, columns, budget):
            table.add([converted(column, one) for column, one in zip(columns.all, values, strict=True)])
    except (pa.ArrowInvalid, BadValueError) as error:
        return _diagnosed(source, columns, str(error), place)
    if not table.rows:
        raise unreadable("has no rows")
    table.read_images(source.folder)
    return table


def _with_bytes(columns: Columns, schema: pa.Schema) -> Columns:
    """Return the columns, of which images are no texts where they are the bytes of files."""
    return Columns(
        {
            name: [replace(one, is_text=one.is_text and not has_bytes(schema.field(one.place).type)) for one in several]
            for name, several in columns.inputs.items()
        },
        columns.labels,
    )


def _of_bytes(columns: Columns) -> list[Column]:
    """Return the columns with the bytes of images, one for each input."""
    return [column for column, *_ in columns.inputs.values() if column.image and not column.is_text]


def _check_types(schema: pa.Schema, used: list[Column]) -> None:
    bad = [(column, type_) for column in used if not takes(column, type_ := schema.field(column.place).type)]
    errors = [
        FieldError(
            column.path,
            f"column {quoted(column.name)} has the type {printable(str(type_))[:100]}, {_mend(column, type_)}",
        )
        for column, type_ in bad[:SHOWN_ERRORS]
    ]
    if more := len(bad) - len(errors):
        errors.append(FieldError(errors[-1].path, f"{more} more columns have types that are not read"))
    if errors:
        raise InvalidSpec(errors)


def _mend(column: Column, type_: pa.DataType) -> str:
    """Return what is read instead of a type, and the remedy."""
    if column.image:
        return "but images are the paths of files, as texts, or the bytes of files"
    if column.is_date and not column.is_text:
        return "but `date` takes dates, times and texts in ISO 8601: leave `date` out if the values are numbers"
    if is_date(type_) and not column.is_text:
        return f"and no number: {DATE.format(quoted(column.name))}, or name the columns to use in `dataset.features`"
    mend = "convert it to one of these, or name the columns to use in `dataset.features`"
    return f"but only numbers, booleans and texts are read: {mend}"


def _blocks(source: Source, columns: Columns, budget: Budget) -> Iterator[list[pa.Array]]:
    """Yield the values of the used columns, as `plain` returns them."""
    used = columns.all
    most = IMAGE_ROWS if _of_bytes(columns) else BATCH_ROWS
    for batch in pipelined(source.batches([column.name for column in used], budget, most)):
        if batch.num_rows:
            yield [plain(batch.column(column.name), column.most_bytes) for column in used]


def _diagnosed(source: Source, columns: Columns, reason: str, place_of: Callable[[int], str]) -> Diagnosis:
    """Read the file again to find the first bad value of each column, and the labels without any."""
    used = columns.all
    faults: dict[int, Fault] = {}
    shown: dict[int, str] = {}
    beside = {column.place for several in columns.labels.values() for column in several}
    good: dict[int, list[pa.Array]] = {place: [] for place in beside}
    rows = 0
    for values in _blocks(source, columns, Budget()):
        for column, one in zip(used, values, strict=True):
            place = column.place
            if column.image and not column.is_text:
                continue  # an image that cannot be decoded has an error of its own
            if (fault := find_fault(column, one)) is not None:
                if (first := faults.get(place)) is not None:
                    faults[place] = replace(first, count=first.count + fault.count)
                    continue
                faults[place] = replace(fault, row=rows + fault.row)
                shown[place] = _shown(one.slice(fault.row, 1))
            elif place in beside and place not in faults:
                good[place].append(converted(column, one))
        rows += len(values[0])
    if not faults:
        raise unreadable(f"cannot be read: {printable(reason)[:200]}")
    labels = {
        name: [pa.concat_arrays(good[column.place]) for column in several]
        for name, several in columns.labels.items()
        if faults.keys().isdisjoint(column.place for column in several)
    }
    errors = fault_errors(
        [faults[place] for place in sorted(faults)], lambda fault: (shown[fault.column.place], place_of(fault.row))
    )
    return Diagnosis(source.schema.names, columns, rows, errors, labels)


def _shown(values: pa.Array) -> str:
    """Return the only one of some values as text, empty if there is none."""
    plain_value = (iso_texts(values) if is_date(values.type) else values)[0].as_py()
    if isinstance(plain_value, bytes):
        return plain_value.decode(errors="surrogateescape")
    return "" if plain_value is None else str(plain_value)
