"""Result of a reader: the content of a file, not yet encoded, and its errors."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from numpy.typing import NDArray

from raydient.spec.dataset import SAMPLE_WEIGHT, SPLIT, Dataset
from raydient.spec.errors import FieldError, InvalidSpec
from raydient.spec.printable import printable
from raydient.spec.values import SHOWN_CHARACTERS, quoted
from raydient.workers.network.losses import Labels
from raydient.workers.row_errors import row_name

SHOWN_ERRORS = 10
"""Maximum number of names or columns whose errors are listed one by one."""

COMPARED_NAMES = 1000
"""Maximum number of names that are compared with a wrong one, because each comparison takes microseconds."""


@dataclass(frozen=True, eq=False, slots=True)
class RawInput:
    """Samples with the values of the file, rows first.

    Attributes:
        values: numbers of any type or, for categories, texts; (n, *shape).
        columns: columns of the table, in order, or the name of the array.
        is_table: `columns` are columns of a table.
        is_image: samples are images with values from 0 to 255, (n, height, width, channels).
    """

    values: NDArray[Any]
    columns: tuple[str, ...]
    is_table: bool
    is_image: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class RawData:
    """The data of a file that a job uses.

    Attributes:
        inputs: inputs by name; None if one of them has errors.
        labels: labels without errors, by name, one row for each sample; includes the others of `read_beside`.
        texts: labels that were requested as texts, by name, in row-major order.
        errors: errors of the values.
        rows: number of samples.
        shapes: shape of one sample of each input, by name; also known if there are errors.
        files: name and number of rows of each file, if there are several.
    """

    inputs: Mapping[str, RawInput] | None
    labels: Mapping[str, Labels]
    texts: Mapping[str, list[str]]
    errors: tuple[FieldError, ...]
    rows: int
    shapes: Mapping[str, tuple[int, ...]]
    files: tuple[tuple[str, int], ...] = ()

    def row_name(self, row: int) -> str:
        """Return the name of a row, numbered from 0, for messages: of several files with its own, which counts it."""
        for name, rows in self.files:
            if row < rows:
                return f"{row_name(row)} of {quoted(name)}"
            row -= rows
        return row_name(row)


def unreadable(message: str) -> InvalidSpec:
    """Return the error of a file that cannot be read in its format."""
    # without the file's name, because the server names uploaded files itself
    return InvalidSpec([FieldError("dataset.uri", f"the file {message}")])


@contextmanager
def refusing_unreadable(encoding: str) -> Iterator[None]:
    """Translate the exceptions of the operating system, of decompression and of decoding to an error of the file."""
    try:
        yield
    except UnicodeError as error:
        raise unreadable(f"is not {encoding} text: name its encoding in `dataset.csv.encoding`") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or printable(str(error))
        raise unreadable(f"cannot be read: {reason}") from error


@contextmanager
def refusing_damage(kind: str) -> Iterator[None]:
    """Translate the exceptions of a reader's libraries on invalid bytes to an error of the file, which is not `kind`.

    Errors of the operating system pass; Arrow also raises OSError without a number, about the content.
    """
    try:
        yield
    except InvalidSpec:
        raise
    except MemoryError as error:
        raise unreadable("takes more memory than there is") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise
        text = printable(str(error))[:200] or type(error).__name__
        raise unreadable(f"is not {kind}: {text}") from error


def label_path(spec: Dataset, name: str) -> str:
    """Return the path of a label, the weight of samples or the column of the split in the specification."""
    if name == SPLIT:
        return spec.split.path
    if name == SAMPLE_WEIGHT:
        return "dataset.sample_weight"
    if spec.label_columns:
        return "dataset.label_columns"
    return f"dataset.labels.{name}" if spec.labels else "dataset.label"


def missing(names: Sequence[tuple[str, str]], what: str, available: Sequence[str]) -> list[FieldError]:
    """Return the errors of names that do not exist.

    Args:
        names: path in the specification and name, for each.
        what: kind of thing that they name, such as `a column of the file`.
        available: the existing names.
    """
    errors = [FieldError(path, _missing(name, what, available)) for path, name in names[:SHOWN_ERRORS]]
    if more := len(names) - len(errors):
        errors.append(FieldError(errors[-1].path, f"{more} more names are not {what}"))
    return errors


def _missing(name: str, what: str, available: Sequence[str]) -> str:
    if close := _alike(name, available):
        return f"{quoted(name)} is not {what}: did you mean {quoted(close)}?"
    there = ", ".join(printable(name[:SHOWN_CHARACTERS]) for name in available[:8])
    more = f", ... ({len(available)} names)" if len(available) > 8 else ""
    return f"{quoted(name)} is not {what}; there are: {there}{more}"


def _alike(name: str, available: Sequence[str]) -> str | None:
    """Return a similar name that is probably meant; of more than COMPARED_NAMES, only by case and spaces."""
    same = (other for other in available if other.strip().casefold() == name.strip().casefold())
    if close := next(same, None):
        return close
    return next(iter(get_close_matches(name, available, n=1)), None) if len(available) <= COMPARED_NAMES else None
