"""Decodes the images of a column of a table, with several threads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raydient.spec.decoding import MOST_PIXELS, PIXEL_BYTES, ImageError, decode, read_below
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.values import quoted
from raydient.workers.row_errors import row_name

from .limits import Room, available_bytes
from .raw import SHOWN_ERRORS
from .table_columns import Column

BATCH_ROWS = 64
"""Rows of a table with the bytes of images that are in memory at a time."""
THREADS = 8
MEMORY_SHARE = 0.5
"""Share of the free memory in which images are decoded, which is released when they are resized."""
MISSING = "has no image"

_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)


def has_bytes(type_: pa.DataType) -> bool:
    """True for columns with the bytes of image files, also as the field `bytes` of a structure, as Hugging Face has."""
    if pa.types.is_struct(type_) and type_.get_field_index("bytes") >= 0:
        type_ = type_.field("bytes").type
    return any(is_one(type_) for is_one in _BYTES)


def contents_of(values: pa.Array) -> list[bytes | None]:
    """Return the bytes of the image files in a column that `has_bytes`."""
    contents: list[bytes | None] = (pc.struct_field(values, "bytes") if values.type.num_fields else values).to_pylist()
    return contents


def decoded(
    column: Column, images: Sequence[str | bytes | None], first: int, folder: Path = Path()
) -> NDArray[np.uint8]:
    """Return images as an array (n, height, width, channels).

    Args:
        column: the column that holds them.
        images: paths of the files below `folder`, or their bytes.
        first: number of rows before these, for errors.
        folder: of the table.

    Raises:
        InvalidSpec: an image is missing or cannot be decoded, or Pillow is not installed.
    """
    assert column.image is not None
    shape = column.image.shape
    whole = np.empty((len(images), *shape), np.uint8)
    room = Room(min(PIXEL_BYTES * MOST_PIXELS, int(MEMORY_SHARE * available_bytes())))

    def put(row: int) -> FieldError | None:
        one = images[row]
        try:
            if not one:
                raise ImageError(MISSING)
            content = one if isinstance(one, bytes) else read_below(folder, one)
            whole[row] = decode(content, shape, room.taking)
        except ImageError as error:
            place = row_name(first + row)
            text = f"{quoted(one)} in {place}" if one and isinstance(one, str) else f"the image in {place}"
            problem = f"{place} {error}" if str(error) == MISSING else f"{text} {error}"
            return FieldError(column.path, f"column {quoted(column.name)}: {problem}")
        return None

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            errors = [error for error in pool.map(put, range(len(images))) if error]
    except ImportError as error:
        path = column.path.replace("columns[0]", "image")
        message = "images need Pillow, which is not installed: pip install 'raydient[images]'"
        raise InvalidSpec([FieldError(path, message)]) from error
    if (more := len(errors) - SHOWN_ERRORS) > 0:
        errors[SHOWN_ERRORS:] = [FieldError(column.path, f"{more} more images cannot be read")]
    if errors:
        raise InvalidSpec(errors)
    return whole
