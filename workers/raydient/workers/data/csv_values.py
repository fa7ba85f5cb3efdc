"""Converts cells of a CSV file, read as text, to numbers."""

import pyarrow as pa
import pyarrow.compute as pc

from raydient.spec.values import MISSING

_MISSING = pa.array(sorted(MISSING), pa.large_string())


def to_numbers(cells: pa.LargeStringArray) -> pa.DoubleArray:
    """Convert cells to float64; null where a number is missing, in quotes or not.

    Raises:
        ArrowInvalid: a cell is not a number.
    """
    texts = pc.ascii_trim_whitespace(cells)
    return pc.cast(pc.if_else(pc.is_in(texts, _MISSING), None, texts), pa.float64())
