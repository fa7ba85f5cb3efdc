"""The dialects of CSV files: what separates values, what separates decimals, and the encoding."""

import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from .expansion import MAXIMUM_EXPANSION, expansion

DELIMITERS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
ENCODINGS = (
    *("utf-8", "utf-16", "latin-1", "iso-8859-2", "iso-8859-15"),
    *("windows-1250", "windows-1251", "windows-1252", "shift_jis", "gb18030", "big5", "euc-kr"),
)
UTF8 = "utf-8"
GZIP = ".gz"

DECIMAL_NUMBER = r"^[\t-\r ]*[-+]?(?:[0-9]+[.,][0-9]*|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?[\t-\r ]*$"
"""Numbers with a point or a comma, with or without `values.SPACES` around them; a pattern of `re` and of RE2."""

_DECIMAL_NUMBER = re.compile(DECIMAL_NUMBER)
_SWAP = str.maketrans(".,", ",.")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: character between values; None: found by `find_delimiter`.
        decimal: character before the decimals of a number, one of DECIMALS.
        encoding: one of ENCODINGS.
    """

    delimiter: str | None = None
    decimal: str = "."
    encoding: str = UTF8

    @property
    def codec(self) -> str:
        """Python's name of the encoding; a byte order mark is no text."""
        return "utf-8-sig" if self.encoding == UTF8 else self.encoding

    @property
    def encoding_name(self) -> str:
        """The encoding as messages name it."""
        return "UTF-8" if self.encoding == UTF8 else self.encoding

    def cell(self, text: str) -> str:
        """Return a cell with the decimals of its number after a point.

        Where a comma separates decimals, a point separates thousands: 1.500 is returned as 1,500, which is no number.
        """
        return text.translate(_SWAP) if self.decimal == "," and _DECIMAL_NUMBER.match(text) else text


PLAIN = Dialect()
_CHUNK = 2**18


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, which is compressed if its name ends in GZIP.

    Reading a compressed file raises OSError also where it expands more than `expansion` allows.
    """
    return io.BufferedReader(_Unpacked(path), _CHUNK) if path.suffix.lower() == GZIP else path.open("rb")


class _Unpacked(io.RawIOBase):
    """The content of a compressed file."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path)
        self._stored = path.stat().st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        if expansion(self._file.tell(), self._stored):
            text = f"it expands to more than {MAXIMUM_EXPANSION} times its size"
            raise OSError(f"{text}: store it uncompressed if all of it are rows")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def open_text(path: Path, dialect: Dialect) -> TextIO:
    """Open a file as text without its byte order mark. Bytes that are not of the encoding become lone surrogates.

    Reading raises UnicodeError where a byte has no lone surrogate; of a compressed file also EOFError, zlib.error and
    gzip.BadGzipFile.
    """
    return io.TextIOWrapper(open_bytes(path), dialect.codec, errors="surrogateescape", newline="")


def is_decoded(text: str) -> bool:
    """True if a text from `open_text` was valid in the file's encoding."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def find_delimiter(names: list[str]) -> str:
    """Return the delimiter of a header, for the names that it has if commas separate them."""
    return max(DELIMITERS[1:], key=names[0].count) if len(names) == 1 and set(DELIMITERS) & set(names[0]) else ","
