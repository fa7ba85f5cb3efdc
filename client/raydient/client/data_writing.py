"""Writes tables and arrays as the data file of a job, with the values to the bit."""

import csv
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from math import isnan
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.csv_text import PLAIN, Dialect

from .columns import (
    MISSING_TYPES,
    InvalidSamples,
    as_array,
    check_lengths,
    is_series,
    named_columns,
    own_type,
    row_number,
)
from .images import write_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from raydient.spec.dataset import Dataset

BLOCK_ROWS = 4096
"""Rows that are written at a time, because as Python objects they take several times the memory of their arrays."""
STEM = "data"


def write_data(data: Any, dataset: "Dataset | None", folder: Path) -> Path:
    """Return the data file of a job for data of any form; if it is not a path, the file is written to `folder`.

    A table becomes a CSV file: a DataFrame, a mapping of columns with one value a row, a list of mappings, a structured
    array or a pyarrow table. A missing value becomes an empty cell, a date its ISO form, a boolean 1 or 0, as a label
    or category `True` or `False`. Arrays become an NPZ file: a mapping with an array of several
    values a row, or a pair of samples and labels.

    An image of an input of images becomes a file beside the table, without loss.

    Args:
        data: the data, or the path of a data file.
        dataset: names the arrays of a pair, the columns of labels and categories, and the dialect of CSV files; without
            it every boolean becomes `True` or `False`.
        folder: an existing folder.

    Raises:
        InvalidSamples: the data have another form, names that repeat, or a value that no file holds.
    """
    if isinstance(data, str | os.PathLike):
        return Path(data)
    if isinstance(data, tuple) and len(data) == 2 and not _are_named(data):
        pair = zip(_pair_names(dataset), data, strict=True)
        return _write_arrays({name: as_array(name, values) for name, values in pair}, folder)
    table = None if is_series(data) else named_columns(data)
    if table is None:
        kinds = "a DataFrame, a mapping of columns or arrays, a pair of samples and labels, or the path of a file"
        raise InvalidSamples(f"the data must be {kinds}, not {type(data).__name__}")
    if not table:
        raise InvalidSamples("the data have no columns")
    images = dataset.images if dataset is not None else ()
    columns = {
        name: write_images(name, values, folder) if name in images else as_array(name, values)
        for name, values in table.items()
    }
    if any(array.ndim > 1 for array in columns.values()):
        return _write_arrays(columns, folder)
    return _write_table(columns, dataset, folder)


def _are_named(data: Sequence[Any]) -> bool:
    return all(isinstance(one, Mapping) or is_series(one) for one in data)


def _pair_names(dataset: "Dataset | None") -> tuple[str, str]:
    """Names of the arrays of samples and labels. Raises InvalidSamples if the job has several of either."""
    if dataset is None:
        return "x", "y"
    if dataset.inputs or dataset.labels or dataset.label_columns or dataset.sample_weight or len(dataset.features) > 1:
        raise InvalidSamples("the job names its inputs, labels or weights: give a mapping with an array for each name")
    return dataset.features[0] if dataset.features else "x", dataset.label


def _named_classes(dataset: "Dataset | None", columns: Iterable[str]) -> frozenset[str]:
    """The columns whose booleans keep their names, which take more time to read than 1 and 0."""
    if dataset is None:
        return frozenset(columns)
    categories = (column for input_ in dataset.inputs.values() if input_.is_text for column in input_.columns)
    return frozenset([*categories, *dataset.named_labels.values(), *dataset.label_columns])


def _write_arrays(arrays: "Mapping[str, NDArray[Any]]", folder: Path) -> Path:
    from numpy.lib.format import write_array

    plain = {name: _plain(name, array) for name, array in arrays.items()}
    path = folder / f"{STEM}.npz"
    with zipfile.ZipFile(path, "w") as archive:  # `numpy.savez` takes no array named `file`
        for name, array in plain.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_array(member, array, allow_pickle=False)
    return path


def _plain(name: str, array: "NDArray[Any]") -> "NDArray[Any]":
    """An array without Python objects. A missing value among numbers becomes NaN."""
    import numpy as np

    if array.dtype.kind == "O":
        has_texts = any(isinstance(value, str) for value in array.ravel().tolist())
        array = own_type(name, array, is_optional=not has_texts)
    return array.astype(np.str_) if array.dtype.kind == "O" else array


def _write_table(columns: "Mapping[str, NDArray[Any]]", dataset: "Dataset | None", folder: Path) -> Path:
    named, dialect = _named_classes(dataset, columns), dataset.csv.dialect if dataset is not None else PLAIN
    check_lengths({name: array.size for name, array in columns.items()})
    rows = next(iter(columns.values())).size
    path = folder / f"{STEM}.csv"
    with path.open("w", newline="", encoding=dialect.encoding) as file:
        writer = csv.writer(file, lineterminator="\n", delimiter=dialect.delimiter or ",")
        _write_rows(writer, [columns], "a name of the columns", dialect)
        for start in range(0, rows, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            cells = [_cells(name, array[block], start, name in named) for name, array in columns.items()]
            if dialect.decimal == ",":  # the reader exchanges them again
                cells = [[dialect.cell(str(cell)) for cell in column] for column in cells]
            where = f"a text in rows {start + 1} to {start + BLOCK_ROWS}"
            _write_rows(writer, zip(*cells, strict=True), where, dialect)
    return path


def _write_rows(writer: Any, rows: Iterable[Iterable[Any]], where: str, dialect: Dialect) -> None:
    """Write rows of cells. Raises InvalidSamples if a text has no form in the encoding of the file."""
    try:
        writer.writerows(rows)
    except UnicodeEncodeError as error:
        raise InvalidSamples(f"{where} is not {dialect.encoding_name}") from error


def _cells(name: str, array: "NDArray[Any]", first: int, are_named: bool) -> list[Any]:
    """Values of a column (n,) as cells of a CSV file, whose writer uses `repr` for numbers with a point.

    `first` is the number of rows before these, for errors.
    """
    import numpy as np

    cells: list[Any] = array.tolist()
    match array.dtype.kind:
        case "b":
            return cells if are_named else [int(cell) for cell in cells]
        case "i" | "u" | "U":
            return cells
        case "f":
            return ["" if isnan(cell) else cell for cell in array.astype(np.float64).tolist()]
        case "M":
            return ["" if text == "NaT" else text for text in np.datetime_as_string(array).tolist()]
        case "O":
            return [_cell(name, value, first + row, are_named) for row, value in enumerate(cells)]
    raise InvalidSamples(f"{name}: its values are {array.dtype}; numbers, texts or dates are needed")


def _cell(name: str, value: Any, row: int, is_named: bool) -> Any:
    import numpy as np

    if isinstance(value, str):
        return value
    if type(value).__name__ in MISSING_TYPES:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)) if is_named else int(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return "" if isnan(value) else float(value)
    if isinstance(value, date):  # a datetime, too
        return value.isoformat()
    raise InvalidSamples(f"{name}, {row_number(row)}: {value!r:.100} is neither a number, a text nor a date")
