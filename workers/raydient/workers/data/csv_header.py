"""Reads the header of a CSV file."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from raydient.spec.dataset import Dataset as DatasetSpec
from raydient.spec.values import is_number, quoted

from .raw import unreadable
from .table_columns import MAXIMUM_COLUMNS

ROW_BYTES = 16 * 2**20
"""Maximum length of a row, in characters."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, slots=True)
class Header:
    """The first row that is not blank.

    Attributes:
        names: of the columns, which may repeat or be empty.
        start: the byte at which the next row begins.
    """

    names: Sequence[str]
    start: int


class Lines:
    """Iterates over the lines of a text file, each of bounded length; `count` is the number of bytes read so far."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.count = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(ROW_BYTES + 1):
            if len(line) > ROW_BYTES:
                raise unreadable(f"has a row that is longer than {ROW_BYTES >> 20} MiB")
            self.count += len(line.encode(errors="surrogateescape"))
            yield line


def open_text(path: Path) -> TextIO:
    """Open a file as text without its byte order mark. Bytes that are not UTF-8 become lone surrogates."""
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def is_utf8(text: str) -> bool:
    """True if a text from `open_text` was valid UTF-8 in the file."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def read_header(path: Path) -> Header:
    """Read the header of the file at `path`.

    Raises:
        InvalidSpec: the file is not a table, or has no rows.
    """
    with path.open("rb") as file:
        mark = len(_BYTE_ORDER_MARK) if file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK else 0
    with open_text(path) as file:
        lines = Lines(file)
        try:
            names = next((row for row in csv.reader(lines) if row), None)
        except csv.Error as error:
            raise unreadable(f"is not a CSV file: {error}") from error
        start = lines.count + mark
        has_rows = any(line.strip("\r\n") for line in lines)
    if names is None:
        raise unreadable("is empty")
    if len(names) > MAXIMUM_COLUMNS:
        raise unreadable(f"has {len(names)} columns, more than the {MAXIMUM_COLUMNS} that are read")
    if not all(map(is_utf8, names)):
        raise unreadable("is not UTF-8 text: save it with that encoding")
    if len(names) == 1:
        _refuse_other_separators(names[0])
    if not has_rows:
        raise unreadable("has a header but no rows")
    return Header(names, start)


def _refuse_other_separators(name: str) -> None:
    for separator, called in _SEPARATORS.items():
        if separator in name:
            text = f"has one column, {quoted(name)}: its values seem to be separated by {called} instead of commas"
            raise unreadable(text)


def refuse_numbers(header: Header, spec: DatasetSpec) -> None:
    """Raise InvalidSpec if the first line is a row of numbers instead of the names of columns."""
    labels = {name for several in spec.read_beside.values() for name in several}
    if not labels <= set(header.names) and all(map(is_number, header.names)):
        start = ", ".join(header.names[:3])
        raise unreadable(f"has no header: its first line has only numbers ({start}, ...)")
