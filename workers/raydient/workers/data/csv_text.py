"""Opens CSV files of any encoding, compressed or not, as UTF-8."""

import io
from pathlib import Path
from typing import IO, TextIO

from raydient.spec.csv_text import UTF8, Dialect, open_bytes, open_text

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK = 2**18


def open_utf8(path: Path, dialect: Dialect, start: int) -> IO[bytes]:
    """Open the text that `open_text` returns as UTF-8, from a byte on; lone surrogates become what they were."""
    if dialect.encoding == UTF8:
        file = open_bytes(path)
        mark = len(_BYTE_ORDER_MARK) if file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK else 0
        file.seek(start + mark)
        return file
    recoded = io.BufferedReader(_Recoded(open_text(path, dialect)), _CHUNK)
    recoded.read(start)
    return recoded


class _Recoded(io.RawIOBase):
    """A text file as UTF-8."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._waiting = file, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._waiting:
            self._waiting = self._file.read(_CHUNK).encode(errors="surrogateescape")
        count = min(len(buffer), len(self._waiting))
        buffer[:count] = self._waiting[:count]
        self._waiting = self._waiting[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
