"""Reads the header of a CSV file."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from raydient.spec.csv_text import Dialect, find_delimiter, is_decoded, open_text
from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.values import is_number, quoted

from .raw import unreadable
from .table_columns import MAXIMUM_COLUMNS

ROW_BYTES = 16 * 2**20
"""Maximum length of a row, in characters."""

_CALLED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, slots=True)
class Header:
    """The first row that is not blank.

    Attributes:
        names: of the columns, which may repeat or be empty.
        start: the byte of the file as UTF-8, without a byte order mark, at which the next row begins.
        dialect: of the file; the delimiter is known.
    """

    names: Sequence[str]
    start: int
    dialect: Dialect

    @property
    def delimiter(self) -> str:
        """The character between values."""
        return self.dialect.delimiter or ","


class Lines:
    """Iterates over the lines of a text file, each of bounded length.

    Attributes:
        count: the number of bytes read so far, as UTF-8.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(ROW_BYTES + 1):
            if len(line) > ROW_BYTES:
                raise unreadable(f"has a row that is longer than {ROW_BYTES >> 20} MiB")
            self.count += len(line.encode(errors="surrogateescape"))
            yield line


def read_header(path: Path, dialect: Dialect) -> Header:
    """Read the header of the file at `path`, which shows the delimiter if the dialect does not say it.

    Raises:
        InvalidSpec: the file is not a table, or has no rows.
        UnicodeError: the file is not of the dialect's encoding.
    """
    header = _read(path, replace(dialect, delimiter=dialect.delimiter or ","))
    if dialect.delimiter is None and (shown := find_delimiter([*header.names])) != ",":
        header = _read(path, replace(dialect, delimiter=shown))
    if len(header.names) == 1:
        _refuse_other_delimiters(header.names[0], header.delimiter)
    return header


def _read(path: Path, dialect: Dialect) -> Header:
    with open_text(path, dialect) as file:
        lines = Lines(file)
        try:
            names = next((row for row in csv.reader(lines, delimiter=dialect.delimiter or ",") if row), None)
        except csv.Error as error:
            raise unreadable(f"is not a CSV file: {error}") from error
        start = lines.count
        has_rows = any(line.strip("\r\n") for line in lines)
    if names is None:
        raise unreadable("is empty")
    if len(names) > MAXIMUM_COLUMNS:
        raise unreadable(f"has {len(names)} columns, more than the {MAXIMUM_COLUMNS} that are read")
    if not all(map(is_decoded, names)):
        raise unreadable(not_decoded(dialect).format(""))
    if not has_rows:
        raise unreadable("has a header but no rows")
    return Header(names, start, dialect)


def not_decoded(dialect: Dialect) -> str:
    """Return the sentence about text that is not of the dialect's encoding, with `{}` for the number of such rows."""
    mend = "save the file with that encoding, or name its own in `dataset.csv.encoding`"
    return f"is not {dialect.encoding_name} text{{}}: {mend}"


def _refuse_other_delimiters(name: str, delimiter: str) -> None:
    for other, called in _CALLED.items():
        if other != delimiter and other in name:
            problem = f"its values seem to be separated by {called} instead of {_CALLED[delimiter]}"
            raise unreadable(f"has one column, {quoted(name)}: {problem}")


def refuse_numbers(header: Header, spec: DatasetSpec) -> None:
    """Raise InvalidSpec if the first line is a row of numbers instead of the names of columns."""
    labels = {name for several in spec.read_beside.values() for name in several}
    if not labels <= set(header.names) and all(map(is_number, header.names)):
        start = ", ".join(header.names[:3])
        raise unreadable(f"has no header: its first line has only numbers ({start}, ...)")
