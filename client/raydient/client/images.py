"""Converts images of any form to the arrays that a network takes, and to files."""

import os
import shutil
from collections.abc import Iterable
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raydient.spec.decoding import ImageError, decode, pixels, read_below

from .columns import InvalidSamples, row_number
from .extras import importing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .columns import Where

ENDS = "images"
"""Name of the folder for image files that are written."""


def are_pixels(values: Any) -> bool:
    """True for an array of numbers."""
    return getattr(getattr(values, "dtype", None), "kind", "O") in tuple("biuf")


def as_pixels(
    name: str, values: Any, shape: tuple[int, int, int], where: "Where" = row_number, folder: Path | None = None
) -> "NDArray[Any]":
    """Return images as an array (n, *shape) of values from 0 to 255.

    Args:
        name: of the input or column, for errors.
        values: an array of numbers, which is returned as it is, an image of Pillow, or several images: paths, the bytes
            of files, images of Pillow or arrays.
        shape: height, width and channels.
        where: returns the text by which errors name a sample.
        folder: base of paths, which may not lead out of it; None: any path.

    Raises:
        InvalidSamples: a value is no image, or it cannot be decoded.
        MissingExtra: Pillow is not installed.
    """
    import numpy as np

    if are_pixels(values):
        array: NDArray[Any] = values
        return array
    images = [values] if hasattr(values, "convert") else list(values)
    with importing("Decoding images", "images"):
        import PIL.Image  # noqa: F401  (named by the error)
    decoded = []
    for row, one in enumerate(images):
        try:
            decoded.append(_pixels(one, shape, folder))
        except ImageError as error:
            what = f"{os.fspath(one)!r:.200} " if isinstance(one, str | os.PathLike) else "the image "
            raise InvalidSamples(f"{name}, {where(row)}: {what}{error}") from error
    return np.stack(decoded) if decoded else np.empty((0, *shape), np.uint8)


def write_images(name: str, values: Iterable[Any], folder: Path) -> "NDArray[Any]":
    """Write the images of a column to files below a folder, without loss; return their paths relative to it.

    Args:
        name: of the column.
        values: images as `as_pixels` takes them; a missing one has the empty path.
        folder: an existing folder.

    Raises:
        InvalidSamples: a value is no image, or its file cannot be read.
        MissingExtra: Pillow is not installed.
    """
    import numpy as np

    (folder / ENDS).mkdir(exist_ok=True)
    start = sum(1 for _ in (folder / ENDS).iterdir())  # of another column
    paths: list[str] = []
    for row, one in enumerate(values):
        path = f"{ENDS}/{start + row:08}"
        try:
            paths.append(path if _write(one, folder / path) else "")
        except (ImageError, OSError) as error:
            problem = getattr(error, "strerror", None) or error
            raise InvalidSamples(f"{name}, {row_number(row)}: {problem}") from error
    return np.array(paths, object)


def _write(one: Any, path: Path) -> bool:
    """Write an image to a file; return False if it is missing."""
    one = one.get("bytes") if isinstance(one, dict) else one
    if isinstance(one, str | os.PathLike):
        shutil.copyfile(one, path)
    elif isinstance(one, bytes):
        path.write_bytes(one)
    elif one is None or (isinstance(one, float) and isnan(one)):
        return False
    else:
        with importing("Writing images", "images"):
            import PIL.ImageOps
        turned = PIL.ImageOps.exif_transpose(_image(one))
        turned = turned.convert("RGB") if turned.mode == "CMYK" else turned
        turned.save(path, "PNG")
    return True


def _pixels(one: Any, shape: tuple[int, int, int], folder: Path | None) -> "NDArray[Any]":
    if are_pixels(one) and one.shape == shape:
        array: NDArray[Any] = one
        return array
    one = one.get("bytes") if isinstance(one, dict) else one
    if isinstance(one, bytes):
        return decode(one, shape)
    if isinstance(one, str | os.PathLike):
        return decode(read_below(folder, os.fspath(one)) if folder else _read(Path(one)), shape)
    try:
        return pixels(_image(one), shape)
    except (OSError, ValueError) as error:
        raise error if isinstance(error, ImageError) else ImageError(f"is damaged: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def _image(one: Any) -> Any:
    """Return an image of Pillow for one or an array of unsigned bytes. Raises ImageError."""
    import numpy as np
    import PIL.Image

    if hasattr(one, "convert"):
        return one
    if isinstance(one, np.ndarray) and one.dtype == np.uint8 and one.ndim in (2, 3) and one.size:
        array = one[:, :, 0] if one.ndim == 3 and one.shape[2] == 1 else one
        try:
            return PIL.Image.fromarray(array)
        except (TypeError, ValueError) as error:
            raise ImageError(f"has a shape that no image has: {one.shape}") from error
    kind = f"an array of {one.dtype} {one.shape}" if isinstance(one, np.ndarray) else type(one).__name__
    raise ImageError(f"is {kind}; a path, the bytes of a file, an image of Pillow or an array of uint8 are needed")
