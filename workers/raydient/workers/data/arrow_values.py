"""Converts columns of Arrow's types to numbers and texts. A file may declare what its bytes do not hold."""

import pyarrow as pa
import pyarrow.compute as pc

from .csv_values import to_numbers
from .image_values import has_bytes
from .moments import is_date, iso_texts, seconds_of_texts, seconds_of_typed
from .table import to_float64
from .table_columns import Column

_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)


def is_text(type_: pa.DataType) -> bool:
    """True for texts, also those that are stored once each."""
    value = type_.value_type if pa.types.is_dictionary(type_) else type_
    return any(is_one(value) for is_one in _TEXTS)


def is_readable(type_: pa.DataType) -> bool:
    """True for numbers, booleans and texts, also those that are stored once each; for a column of nothing, too."""
    value = type_.value_type if pa.types.is_dictionary(type_) else type_
    return is_text(type_) or any(is_one(value) for is_one in _NUMBERS)


def takes(column: Column, type_: pa.DataType) -> bool:
    """True if a column can be read from values of a type."""
    if column.image:
        return is_text(type_) or has_bytes(type_)
    if not column.is_date:
        return is_readable(type_)
    if is_date(type_):
        return True
    return is_readable(type_) if column.is_text else is_text(type_) or pa.types.is_null(type_)


def plain(values: pa.Array, most_bytes: int) -> pa.Array:
    """Return texts as large binary, each of at most `most_bytes` + 1 bytes; all others in their own type.

    Whole texts of a dictionary, repeated for each row, could take any amount of memory.

    Raises:
        ArrowInvalid, IndexError: the array does not hold what it declares.
    """
    if pa.types.is_dictionary(values.type):
        values.indices.validate(full=True)
        return plain(values.dictionary, most_bytes).take(values.indices)  # take checks the indices
    if not is_text(values.type):
        values.validate(full=True)
        return values
    values = values.view(pa.binary_view() if pa.types.is_string_view(values.type) else _binary(values.type))
    values.validate(full=True)
    return pc.binary_slice(values.cast(pa.large_binary()), 0, most_bytes + 1)


def _binary(type_: pa.DataType) -> pa.DataType:
    return pa.binary() if pa.types.is_string(type_) else pa.large_binary()


def converted(column: Column, values: pa.Array) -> pa.Array:
    """Convert what `plain` returns for `Table.add`. Raises ArrowInvalid if a value is not of the column's type."""
    if column.image and not column.is_text:
        return values
    if pa.types.is_large_binary(values.type):
        texts = values.cast(pa.large_string())  # which checks that they are UTF-8
        if column.is_text:
            return texts
        return seconds_of_texts(texts) if column.is_date else to_numbers(texts)
    if is_date(values.type):
        return iso_texts(values) if column.is_text else seconds_of_typed(values)
    return values if column.is_text else to_float64(values)
