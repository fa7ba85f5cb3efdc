"""Values that are read again when their files change."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from raydient.server.errors import StartError

T = TypeVar("T")
log = logging.getLogger(__name__)


class Reloaded(Generic[T]):
    """The result of `read` for the current content of some files. May be used from any thread.

    If `read` raises StartError for changed files, the error is logged once and the previous value stays.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], T]) -> None:
        """Read the files. Raises StartError."""
        self._paths = tuple(paths)
        self._read = read
        self._lock = threading.Lock()
        self._seen = self._identities()
        self._value = read()

    def __call__(self) -> T:
        """The value for the present files; costs one `stat` per file if they have not changed."""
        with self._lock:
            seen = self._identities()
            if seen != self._seen:
                self._seen = seen
                names = " and ".join(map(str, self._paths))
                try:
                    self._value = self._read()
                    log.info("%s changed and is in use", names)
                except StartError as error:
                    log.error("%s; the previous content stays in use", error)
            return self._value

    def _identities(self) -> list[tuple[int, ...]]:
        return [_identity(path) for path in self._paths]


def _identity(path: Path) -> tuple[int, ...]:
    """Numbers that change with the file's content; empty without a file."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
