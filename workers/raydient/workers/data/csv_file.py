"""Reads CSV files with Arrow. `csv_errors` finds the errors of files that this fast reader refuses."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.workers.network.losses import Labels

from .csv_errors import CELL_BYTES, find_errors
from .csv_header import Column, Columns, Header, find_columns, read_header
from .csv_rows import read_batches
from .csv_values import to_numbers
from .limits import Budget
from .raw import RawData, RawInput, unreadable


def read(path: Path, spec: DatasetSpec, as_written: Collection[str] = ()) -> RawData:
    """Read the samples of a CSV file with a header.

    Args:
        path: of the file.
        spec: which columns to read; all others may hold anything.
        as_written: names of labels to return as texts, even if they are numbers.

    Raises:
        InvalidSpec: the file is not a table, or a column is missing.
    """
    header = read_header(path)
    columns = find_columns(header, spec)
    try:
        table = _read(path, header, columns)
    except (pa.ArrowException, _BadValueError) as error:
        diagnosis = find_errors(path, header, columns, str(error))
        inputs, rows, labels, errors = None, diagnosis.rows, diagnosis.texts, diagnosis.errors
    else:
        inputs, labels, rows, errors = table.inputs(), table.labels(), table.rows, ()
    return RawData(
        inputs,
        {name: _labels(texts) for name, texts in labels.items()},
        {name: _side_by_side(texts).ravel().tolist() for name, texts in labels.items() if name in as_written},
        errors,
        rows,
        {name: (len(used),) for name, used in columns.inputs.items()},
    )


def _read(path: Path, header: Header, columns: Columns) -> "_Table":
    """Read the file; where a number is not in the form that is read fastest, again with every cell as text.

    Raises:
        ArrowInvalid, _BadValueError, InvalidSpec: see `_Table.read`.
    """
    with suppress(pa.ArrowException, _BadValueError):
        return _table(path, header, columns, cells=False)
    return _table(path, header, columns, cells=True)


def _table(path: Path, header: Header, columns: Columns, *, cells: bool) -> "_Table":
    table = _Table(columns, cells=cells)
    table.read(path, header)
    return table


class _BadValueError(Exception):
    """A value that is missing, not finite or too long."""


class _Table:
    """The columns that a job uses, collected block by block.

    Args:
        columns: the columns.
        cells: read every number as text first, in which it may be `true` or `false`.
    """

    def __init__(self, columns: Columns, *, cells: bool = False) -> None:
        self.rows = 0
        self._columns, self._cells = columns, cells
        self._used = columns.all
        self._places = {column.place: i for i, column in enumerate(self._used)}
        self._budget = Budget()
        self._blocks: dict[str, list[NDArray[Any]]] = {name: [] for name in columns.inputs}
        self._labels: dict[str, list[list[pa.LargeStringArray]]] = {
            name: [[] for _ in several] for name, several in columns.labels.items()
        }

    def read(self, path: Path, header: Header) -> None:
        """Read the file.

        Raises:
            ArrowInvalid, _BadValueError: the file has an error, which `csv_errors` locates.
            InvalidSpec: the file has no rows, or takes too much memory.
        """
        as_text = {column.place: column.is_text or self._from_cells(column) for column in self._used}
        types = {place: pa.large_string() if is_text else pa.float64() for place, is_text in as_text.items()}
        for batch in read_batches(path, header, types):
            texts = batch.num_rows * sum(column.is_text for column in self._used)
            self._budget.spend(batch.nbytes, values=batch.num_rows * len(self._used), texts=texts)
            self._add(batch)
        if not self.rows:
            raise unreadable("has a header but no rows")

    def _add(self, batch: pa.RecordBatch) -> None:
        for column, values in zip(self._used, batch.columns, strict=True):
            if column.is_text:
                _check_texts(values)
        for name, columns in self._columns.inputs.items():
            self._blocks[name].append(self._block(batch, columns))
        for name, several in self._columns.labels.items():
            for column, chunks in zip(several, self._labels[name], strict=True):
                chunks.append(batch.column(self._places[column.place]))
        self.rows += batch.num_rows

    def _block(self, batch: pa.RecordBatch, columns: Sequence[Column]) -> NDArray[Any]:
        """Columns side by side, (rows, columns), float64, NaN where a value is missing, or texts."""
        dtype = object if columns[0].is_text else np.float64
        block = np.empty((batch.num_rows, len(columns)), dtype)
        for i, column in enumerate(columns):
            values = batch.column(self._places[column.place])
            if self._from_cells(column):
                values = to_numbers(values)
            block[:, i] = values.to_pylist() if column.is_text else values.to_numpy(zero_copy_only=False)
        if dtype is np.float64:
            bad = ~np.isfinite(block)
            if bad.any() and (bad & ~(np.isnan(block) & [column.is_optional for column in columns])).any():
                raise _BadValueError
        return block

    def _from_cells(self, column: Column) -> bool:
        return not column.is_text and (column.is_optional or self._cells)

    def inputs(self) -> dict[str, RawInput]:
        """Return the inputs by name. Call it only once, because it releases the blocks."""
        return {
            name: RawInput(_joined(self._blocks[name]), tuple(column.name for column in columns), is_table=True)
            for name, columns in self._columns.inputs.items()
        }

    def labels(self) -> dict[str, list[pa.LargeStringArray]]:
        """Return the columns of the labels by name."""
        return {name: [pa.concat_arrays(chunks) for chunks in several] for name, several in self._labels.items()}


def _check_texts(values: pa.LargeStringArray) -> None:
    """Raise _BadValueError if a text is missing, blank or too long."""
    if values.null_count:
        raise _BadValueError
    if len(values):
        lengths = pc.min_max(pc.binary_length(pc.ascii_trim_whitespace(values))).as_py()
        if not lengths["min"] or lengths["max"] > CELL_BYTES:
            raise _BadValueError


def _joined(blocks: list[NDArray[Any]]) -> NDArray[Any]:
    """Concatenate the blocks along the rows; each block is released after it is copied."""
    whole = np.empty((sum(map(len, blocks)), *blocks[0].shape[1:]), blocks[0].dtype)
    stop = len(whole)
    while blocks:
        block = blocks.pop()
        whole[stop - len(block) : stop] = block
        stop -= len(block)
    return whole


def _labels(columns: Sequence[pa.LargeStringArray]) -> Labels:
    """Convert labels to numbers if each of them is a number; else return the texts. Several columns are an array."""
    try:
        numbers = [
            pc.cast(pc.ascii_trim_whitespace(texts), pa.float64()).to_numpy(zero_copy_only=False) for texts in columns
        ]
    except pa.ArrowInvalid:
        numbers = []
    if not numbers or any(np.isnan(column).any() for column in numbers):
        texts = _side_by_side(columns)
        return texts if len(columns) > 1 else texts[:, 0].tolist()
    return np.asarray(numbers[0] if len(columns) == 1 else np.stack(numbers, axis=1), np.float64)


def _side_by_side(columns: Sequence[pa.LargeStringArray]) -> NDArray[np.object_]:
    """Return texts as an array of Python objects, (rows, columns)."""
    texts = np.empty((len(columns[0]), len(columns)), object)
    for i, column in enumerate(columns):
        texts[:, i] = column.to_pylist()
    return texts
