"""Rules of the names, sizes and checksums that files are stored with."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from raydient.server.errors import InvalidRequest
from raydient.spec.errors import FieldError
from raydient.workers.data import FORMATS, array_mend, find_format

from .records import MODEL_SUFFIX

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DATA = tuple(suffix for format_ in FORMATS if format_.is_stored for suffix in format_.suffixes)


def check_name(name: str) -> None:
    """Raise InvalidRequest if a file of data may not have this name."""
    if error := _bad_name(name, _DATA):
        raise InvalidRequest([error], reason="INVALID_HEADER")


def _bad_name(name: str, suffixes: Sequence[str]) -> FieldError | None:
    if not name or len(name.encode()) > 255 or not name.isprintable() or PurePath(name).name != name:
        return FieldError("header.file_name", f"{name[:300]!r} is not a file name of 1 to 255 bytes without folders")
    if not _ends_in(name, suffixes):
        mend = f"; {text}" if (text := array_mend(name) or _packing_mend(name)) else ""
        return FieldError("header.file_name", f"{name!r} ends in none of {', '.join(suffixes)}{mend}")
    return None


def _packing_mend(name: str) -> str:
    """Return the remedy for a file of data that is not stored; empty for another file."""
    text = "`raydient submit` and `raydient dataset upload` convert local files of this form"
    return text if (format_ := find_format(name)) and not format_.is_stored else ""


def is_stored(name: str) -> bool:
    """True if files of this name are stored, of data or of a model."""
    return _ends_in(name, (*_DATA, MODEL_SUFFIX))


def _ends_in(name: str, suffixes: Sequence[str]) -> bool:
    return any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in suffixes)


@dataclass(frozen=True, slots=True)
class Header:
    """An upload as a client announces it.

    Attributes:
        name: the file's original name, without folders.
        sha256: SHA-256 of its content, hexadecimal.
        caller: stands for the client; what is kept of a broken upload is its own.
        offset: number of these bytes, behind which the upload goes on; 0 begins anew.
    """

    name: str
    size_bytes: int
    sha256: str
    caller: str = ""
    offset: int = 0

    def check(self) -> None:
        """Raise InvalidRequest with every rule that is broken."""
        errors = [error] if (error := _bad_name(self.name, (*_DATA, MODEL_SUFFIX))) else []
        errors += _bad_content("header.", self.size_bytes, self.sha256)
        if self.offset < 0:
            errors.append(FieldError("header.offset", f"{self.offset} is negative"))
        if errors:
            raise InvalidRequest(errors, reason="INVALID_HEADER")


def check_content(size_bytes: int, sha256: str) -> None:
    """Raise InvalidRequest unless a file may have this size and checksum."""
    if errors := list(_bad_content("", size_bytes, sha256)):
        raise InvalidRequest(errors, reason="INVALID_HEADER")


def _bad_content(prefix: str, size_bytes: int, sha256: str) -> Iterator[FieldError]:
    if size_bytes < 1:
        problem = "the file is empty" if size_bytes == 0 else f"{size_bytes} is negative"
        yield FieldError(f"{prefix}size_bytes", problem)
    if _SHA256.fullmatch(sha256) is None:
        yield FieldError(f"{prefix}sha256", f"{sha256[:100]!r} is not 64 lower-case hexadecimal digits")
