"""Collects the columns of a table that a job uses, block by block, for any format whose samples are rows."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydient.spec.errors import FieldError
from raydient.spec.values import category_text
from raydient.workers.network import category_texts
from raydient.workers.network.losses import Labels

from .csv_values import are_booleans, to_numbers
from .image_values import BATCH_ROWS, contents_of, decoded
from .limits import Budget
from .raw import RawData, RawInput
from .rows import Rows
from .table_columns import Column, Columns

CACHED_VALUES = 2**15
"""Values that are brought side by side at a time, so that they stay in a core's cache until whole rows are there."""


_PLACE_BYTES = 8
"""Bytes of a reference to a text, and of its number while the texts are made."""


class BadValueError(Exception):
    """A value that is missing, not finite or too long."""


class Table:
    """The columns that a job uses.

    Args:
        names: of all columns of the file.
        columns: the columns.
        budget: limit on the memory.

    Attributes:
        names, columns: the arguments.
        rows: number of rows so far.
    """

    def __init__(self, names: Sequence[str], columns: Columns, budget: Budget) -> None:
        self.names, self.columns, self.rows = names, columns, 0
        self._budget = budget
        self._used = columns.all
        self._places = {column.place: i for i, column in enumerate(self._used)}
        self._numbers = {
            name: Rows(columns.shapes[name], np.uint8 if several[0].image else np.float64, budget)
            for name, several in columns.inputs.items()
            if not several[0].is_text
        }
        self._texts: dict[str, list[NDArray[np.object_]]] = {
            name: [] for name in columns.inputs if name not in self._numbers
        }
        self._labels: dict[str, list[list[pa.Array]]] = {
            name: [[] for _ in several] for name, several in columns.labels.items()
        }

    def expect(self, rows: int) -> None:
        """Allocate memory for this number of rows, if there is room. Fewer or more may come."""
        for numbers in self._numbers.values():
            numbers.expect(rows)

    def add(self, values: Sequence[pa.Array]) -> None:
        """Add the next rows.

        Args:
            values: of each used column, in the order of the file: float64 with null or NaN where a number is missing.
                Where the column is text: large strings, or numbers and booleans in their own type. Of images: their
                paths as large strings, or the bytes of their files.

        Raises:
            BadValueError: a value is missing where it may not be, is not finite, or is too long.
            InvalidSpec: the values take too much memory, or the bytes of an image cannot be decoded.
        """
        for column, one in zip(self._used, values, strict=True):
            if column.is_text:
                _check_texts(one, column)
        for name, columns in self.columns.inputs.items():
            used = [values[self._places[column.place]] for column in columns]
            if columns[0].image and not columns[0].is_text:
                self._numbers[name].add(decoded(columns[0], contents_of(used[0]), self.rows))
            elif name in self._numbers:
                with self._numbers[name].room(len(used[0])) as room:
                    _fill(room, used, columns)
            else:
                self._texts[name].append(_side_by_side(used, self._budget))
        for name, several in self.columns.labels.items():
            for column, chunks in zip(several, self._labels[name], strict=True):
                chunks.append(values[self._places[column.place]])
        self.rows += len(values[0])

    def extend(self, other: Self) -> None:
        """Add the rows of a table with the same inputs and labels, which must not be used any more."""
        for name, rows in self._numbers.items():
            rows.extend(other._numbers[name])
        for name, blocks in self._texts.items():
            blocks.extend(other._texts[name])
        for name, several in self._labels.items():
            for chunks, further in zip(several, other._labels[name], strict=True):
                chunks.extend(further)
        self.rows += other.rows

    def read_images(self, folder: Path) -> None:
        """Replace the paths of images, which are below a folder, by the images. Raises what `decoded` raises."""
        for name, (column, *_) in self.columns.inputs.items():
            if column.image and column.is_text:
                paths = np.concatenate(self._texts.pop(name))[:, 0].tolist()
                self._numbers[name] = images = Rows(column.image.shape, np.uint8, self._budget)
                self._budget.foresee(len(paths) * images.row_bytes)
                images.expect(len(paths))
                for first in range(0, len(paths), BATCH_ROWS):
                    images.add(decoded(column, paths[first : first + BATCH_ROWS], first, folder))

    def result(self, as_written: Collection[str]) -> RawData:
        """Return the data; labels in `as_written` as texts too. Call it only once, because it releases the blocks.

        Raises:
            InvalidSpec: the texts take too much memory.
        """
        inputs = {}
        for name, columns in self.columns.inputs.items():
            is_text, is_image = name in self._texts, columns[0].image is not None
            values = np.concatenate(self._texts.pop(name)) if is_text else self._numbers.pop(name).whole()
            inputs[name] = RawInput(values, tuple(column.name for column in columns), not is_image, is_image)
        labels = {
            name: [_concatenated(chunks, self._budget) for chunks in several] for name, several in self._labels.items()
        }
        return raw_data(self.columns, labels, self.rows, as_written, inputs=inputs, budget=self._budget)


def raw_data(
    columns: Columns,
    labels: Mapping[str, Sequence[pa.Array]],
    rows: int,
    as_written: Collection[str],
    *,
    inputs: Mapping[str, RawInput] | None = None,
    errors: Sequence[FieldError] = (),
    budget: Budget,
) -> RawData:
    """Return the data of a table.

    Args:
        columns: the columns that the job uses.
        labels: the columns of the labels without errors, by name, in the types of `Table.add`.
        rows: number of rows.
        as_written: names of labels to return as texts too.
        inputs: by name; None if the values have errors.
        errors: errors of the values.
        budget: limit on the memory.

    Raises:
        InvalidSpec: the texts take too much memory.
    """
    values = {name: _labels(several, budget) for name, several in labels.items()}
    return RawData(
        inputs,
        values,
        {name: _texts(values[name], several, budget) for name, several in labels.items() if name in as_written},
        tuple(errors),
        rows,
        columns.shapes,
    )


def _concatenated(chunks: list[pa.Array], budget: Budget) -> pa.Array:
    """Join the labels of files in which a column may be of several types: as texts if one is, else as numbers."""
    types = {chunk.type for chunk in chunks}
    if len(types) > 1:
        if pa.large_string() in types:
            chunks = [pa.array(texts_of(chunk, budget), pa.large_string()) for chunk in chunks]
        else:
            chunks = [to_float64(chunk) for chunk in chunks]
    return pa.concat_arrays(chunks)


def texts_of(values: pa.Array, budget: Budget) -> NDArray[np.object_]:
    """Return the texts of categories, which may be numbers; a missing one is empty. Equal texts are one object.

    Raises:
        InvalidSpec: they take too much memory.
    """
    encoded = values.dictionary_encode()
    budget.spend(_PLACE_BYTES * len(values), texts=len(encoded.dictionary))
    distinct = [category_text(value) for value in encoded.dictionary.to_pylist()]
    texts = np.array([*distinct, ""], object)
    places = encoded.indices.fill_null(len(distinct)) if encoded.null_count else encoded.indices
    result: NDArray[np.object_] = texts[_to_numpy(places)]
    return result


def _check_texts(values: pa.Array, column: Column) -> None:
    """Raise BadValueError if a text or number is missing or a text is blank, unless it may be, or too long."""
    if values.null_count and not column.is_optional:
        raise BadValueError
    if not column.is_optional and pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py():
        raise BadValueError
    if len(values) and pa.types.is_large_string(values.type):
        lengths = pc.min_max(pc.binary_length(pc.ascii_trim_whitespace(values))).as_py()
        if not (lengths["min"] or column.is_optional) or (lengths["max"] or 0) > column.most_bytes:
            raise BadValueError


def _fill(block: NDArray[np.float64], values: Sequence[pa.Array], columns: Sequence[Column]) -> None:
    """Put columns of numbers side by side, (rows, columns), NaN where a value is missing. Raises BadValueError."""
    arrays = list(map(_to_numpy, values))
    is_optional = [column.is_optional for column in columns]
    rows = max(1, CACHED_VALUES // len(columns))
    for start in range(0, len(block), rows):
        part = block[start : start + rows]
        for i, array in enumerate(arrays):
            part[:, i] = array[start : start + rows]
        bad = ~np.isfinite(part)
        if bad.any() and (bad & ~(np.isnan(part) & is_optional)).any():
            raise BadValueError


def _to_numpy(values: pa.Array) -> NDArray[Any]:
    """Return numbers as an array, NaN where one is missing; read-only."""
    # Array.to_numpy imports pandas where it is installed.
    return values.to_numpy(zero_copy_only=False) if values.null_count else np.from_dlpack(values)


def _labels(columns: Sequence[pa.Array], budget: Budget) -> Labels:
    """Convert labels to booleans if each is one, to numbers if each is one; else return the texts.

    Several columns are an array.
    """
    try:
        numbers = [_to_numpy(_numbers(values)) for values in columns]
    except pa.ArrowInvalid:
        numbers = []
    if not numbers or any(np.isnan(column).any() for column in numbers):
        texts = _side_by_side(columns, budget)
        return texts if len(columns) > 1 else texts[:, 0].tolist()
    dtype = np.bool_ if all(map(_are_booleans, columns)) else np.float64
    return np.asarray(numbers[0] if len(columns) == 1 else np.stack(numbers, axis=1), dtype)


def _texts(labels: Labels, columns: Sequence[pa.Array], budget: Budget) -> list[str]:
    """Return the texts of labels, in row-major order; booleans have the form that they have in every file."""
    if isinstance(labels, np.ndarray) and labels.dtype == np.bool_:
        return category_texts(labels)
    texts: list[str] = _side_by_side(columns, budget).ravel().tolist()
    return texts


def _are_booleans(values: pa.Array) -> bool:
    return are_booleans(values) if pa.types.is_large_string(values.type) else pa.types.is_boolean(values.type)


def _numbers(values: pa.Array) -> pa.DoubleArray:
    """Convert labels to float64. Raises ArrowInvalid if one is not a number."""
    if pa.types.is_large_string(values.type):
        return to_numbers(values)
    return to_float64(values)


def to_float64(values: pa.Array) -> pa.DoubleArray:
    """Convert numbers or booleans to float64; integers above 2^53 are rounded."""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int8())
    return values.cast(pa.float64(), safe=False)


def _side_by_side(columns: Sequence[pa.Array], budget: Budget) -> NDArray[np.object_]:
    """Return texts as an array of Python objects, (rows, columns)."""
    texts = np.empty((len(columns[0]), len(columns)), object)
    for i, column in enumerate(columns):
        texts[:, i] = texts_of(column, budget)
    return texts
