"""Converts cells of a CSV file, read as text, to numbers."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raydient.spec.csv_text import DECIMAL_NUMBER, Dialect
from raydient.spec.values import BOOLEANS, MISSING


def _texts(values: Iterable[str]) -> pa.LargeStringArray:
    # pa.array and pa.scalar import pandas where it is installed, which takes longer than NumPy and Arrow together.
    contents = [value.encode() for value in values]
    places = np.cumsum([0, *map(len, contents)], dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(contents), pa.py_buffer(places), pa.py_buffer(b"".join(contents)))


MISSING_TEXTS = _texts(sorted(MISSING))
"""The texts that stand for a missing value."""
_BOOLEANS = _texts(BOOLEANS)
_NUMBERS = _texts(str(number) for number in BOOLEANS.values())
MISSING_TEXT = pa.nulls(1, pa.large_string())[0]
"""A missing text."""


def are_booleans(cells: pa.LargeStringArray) -> bool:
    """True if every cell is `true` or `false`, in any case."""
    texts = pc.ascii_lower(pc.ascii_trim_whitespace(cells))
    return bool(pc.all(pc.is_in(texts, _BOOLEANS)).as_py())


def to_numbers(cells: pa.LargeStringArray) -> pa.DoubleArray:
    """Convert cells to float64, `true` and `false` to 1 and 0; null where a number is missing, in quotes or not.

    Raises:
        ArrowInvalid: a cell is not a number.
    """
    texts = pc.ascii_trim_whitespace(cells)
    booleans = pc.index_in(pc.ascii_lower(texts), _BOOLEANS)
    if booleans.null_count < len(booleans):
        texts = pc.coalesce(_NUMBERS.take(booleans), texts)
    return pc.cast(pc.if_else(pc.is_in(texts, MISSING_TEXTS), MISSING_TEXT, texts), pa.float64())


def with_points(values: pa.Array, dialect: Dialect) -> pa.Array:
    """Return texts or bytes of a file's cells as `Dialect.cell` does, all at once."""
    if dialect.decimal == ".":
        return values
    swapped = pc.replace_substring(values, ".", "\0")
    swapped = pc.replace_substring(pc.replace_substring(swapped, ",", "."), "\0", ",")
    return pc.if_else(pc.match_substring_regex(values, DECIMAL_NUMBER), swapped, values)
