"""Files of uploads that broke, which an upload of the same content by the same caller goes on with."""

import hashlib
import os
import threading
from pathlib import Path
from typing import BinaryIO

from raydient.files import remove_abandoned

_PREFIX = ".partial-"


def upload_key(sha256: str, size_bytes: int, caller: str) -> str:
    """Return the key of the uploads of a content by one caller; `caller` stands for it."""
    return hashlib.sha256(f"{sha256} {size_bytes} {caller}".encode()).hexdigest()


class PartialFiles:
    """Files in a folder, by key, each written by one upload at a time. May be used from any thread.

    A file is removed a day after its last byte, and before that where room is needed. Its bytes are trusted no further
    than to be the beginning of what a checksum verifies in the end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._in_use: set[str] = set()
        self._remove_old()

    def path(self, key: str) -> Path:
        """The file of a key, which need not exist."""
        return self._folder / f"{_PREFIX}{key}"

    def size(self, key: str) -> int:
        """Number of bytes that are kept for a key; 0 while an upload writes to the file."""
        with self._lock:
            self._remove_old()
            path = self.path(key)
            return path.stat().st_size if key not in self._in_use and path.exists() else 0

    def open(self, key: str) -> BinaryIO | None:
        """Open a key's file for appending, until `release`; an absent file is created. None if an upload writes to it.

        Raises OSError.
        """
        with self._lock:
            if key in self._in_use:
                return None
            self._remove_old()
            descriptor = os.open(self.path(key), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._in_use.add(key)
            return open(descriptor, "ab")

    def release(self, key: str) -> None:
        """End the use of a file, which is closed or removed; the next upload may go on with it."""
        with self._lock:
            self._in_use.remove(key)

    def make_room(self) -> bool:
        """Remove every file that no upload writes to. Returns True if there was one."""
        with self._lock:
            kept = self._kept()
            for path in kept:
                path.unlink(missing_ok=True)
            return bool(kept)

    def _kept(self) -> list[Path]:
        in_use = set(map(self.path, self._in_use))
        return [path for path in self._folder.glob(f"{_PREFIX}*") if path not in in_use]

    def _remove_old(self) -> None:
        remove_abandoned(self._kept())
