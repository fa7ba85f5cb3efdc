"""Decodes image files to arrays, and finds such files below a folder. Needs Pillow, the extra `images`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from .folders import labelled_files

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray
    from PIL import Image

FOLDER_COLUMNS = ("image", "label")
"""The columns of the table that a folder of images is."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
MOST_PIXELS = 2**26
"""Most pixels of an image before it is resized: 67 million, with three channels 192 MiB."""
PIXEL_BYTES = 12
"""Most bytes of memory for one pixel while an image is decoded, turned and converted: Pillow keeps three copies."""
MOST_BYTES = 2**28
"""Most bytes of an image file."""


NO_IMAGES = f"the folder has no images: its sub-folders, named as labels, hold files {', '.join(SUFFIXES)}"


class ImageError(ValueError):
    """A file that cannot be decoded. The message continues a sentence whose subject is the file."""


def decode(
    content: bytes,
    shape: tuple[int, int, int],
    taking: Callable[[int], AbstractContextManager[object]] = nullcontext,
) -> "NDArray[uint8]":
    """Decode the content of an image file to an array (height, width, channels) of values from 0 to 255.

    The image is turned as its EXIF data say, loses its transparency, becomes grey (ITU-R 601-2 luma) or RGB, and is
    resized by bilinear interpolation, which averages over all pixels where it becomes smaller. Of several frames the
    first is used.

    Args:
        content: of the file.
        shape: of the array.
        taking: returns the context for work that takes so many bytes of memory; it may wait, or raise MemoryError.

    Raises:
        ImageError: the content is no image, is damaged, has too many pixels, or does not fit the memory.
        ImportError: Pillow is not installed.
    """
    import PIL.Image  # noqa: PLC0415  (an extra)

    try:
        image = PIL.Image.open(BytesIO(content), formats=FORMATS)
        if image.width * image.height > MOST_PIXELS:
            raise ImageError(f"has {image.width} × {image.height} pixels, more than the {MOST_PIXELS:,} that are read")
        with taking(PIXEL_BYTES * image.width * image.height):
            return pixels(image, shape)
    except ImageError:
        raise
    except PIL.UnidentifiedImageError:
        raise ImageError(f"is none of the images that are read: {', '.join(FORMATS)}") from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise ImageError(f"has more pixels than the {MOST_PIXELS:,} that are read") from None
    except MemoryError:
        raise ImageError("does not fit the memory that is free") from None
    except Exception as error:  # of many types, from Pillow's plugins
        text = "".join(c if c.isprintable() else " " for c in str(error))[:100] or type(error).__name__
        raise ImageError(f"is damaged: {text}") from error


def pixels(image: "Image.Image", shape: tuple[int, int, int]) -> "NDArray[uint8]":
    """Convert an image of Pillow to an array as `decode` does. Raises exceptions of many types if it is damaged."""
    import numpy as np  # noqa: PLC0415  (commands that decode nothing start without it)
    import PIL.Image  # noqa: PLC0415
    import PIL.ImageOps  # noqa: PLC0415

    height, width, channels = shape
    image = PIL.ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
        image = PIL.Image.fromarray((np.asarray(image).clip(0, 2**16 - 1) >> 8).astype(np.uint8))
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), PIL.Image.Resampling.BILINEAR)
    return np.array(image, np.uint8).reshape(shape)


def read_below(folder: Path, name: str) -> bytes:
    """Return the content of an image file that a table names by its path relative to `folder`.

    Raises:
        ImageError: the path is absolute or leads out of the folder, or the file cannot be read.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ImageError("is not a path below the folder of the table")
    try:
        file = (folder / path).resolve(strict=True)
        if not file.is_relative_to(folder.resolve()):
            raise ImageError("is a link out of the folder of the table")
        if not file.is_file():
            raise ImageError("is not a file")
        if (size := file.stat().st_size) > MOST_BYTES:
            raise ImageError(f"has {size} bytes, more than the {MOST_BYTES:,} that are read")
        return file.read_bytes()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "it cannot be read"
        raise ImageError(f"cannot be read: {reason}") from error


def image_files(folder: Path, *, are_labelled: bool = True) -> Iterator[tuple[str, str]]:
    """Yield path and label of each image in a folder; see `labelled_files`."""
    return labelled_files(folder, SUFFIXES, are_labelled=are_labelled)
