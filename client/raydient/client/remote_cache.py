"""The remote files that jobs on this machine have read: downloaded once for each content, within a budget of bytes."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from errno import EACCES
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from raydient.files import evict, is_private, remove_abandoned
from raydient.spec.errors import FieldError, InvalidSpec

if TYPE_CHECKING:
    from raydient.workers.data.remote import RemoteFile, RemoteFiles

BUDGET_BYTES = 32 << 30
"""Files that were used the longest time ago are removed above it."""
_PARTIAL = ".partial-"


class RemoteCache:
    """A folder of downloaded files, one folder for each with the file of its own name. Several processes may use it."""

    def __init__(self, folder: Path, remote: "RemoteFiles", budget_bytes: int = BUDGET_BYTES) -> None:
        """`remote` reads the files."""
        self._folder, self._remote, self._budget_bytes = folder, remote, budget_bytes

    def local(self, field: str, url: str) -> list[Path]:
        """Return the files on this machine with the present content of a URL's files. Raises InvalidSpec, OSError."""
        from raydient.workers.data.remote import RemoteError

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_private(self._folder):
            raise PermissionError(EACCES, "other users of this machine may write to it", str(self._folder))
        try:
            return [self._fetched(file) for file in self._remote.list(url)]
        except RemoteError as error:
            raise InvalidSpec([FieldError(field, str(error))]) from error

    def _fetched(self, file: "RemoteFile") -> Path:
        place = self._folder / sha256(f"{file.url}\n{file.version}".encode()).hexdigest()[:32] / file.name
        if file.version and place.exists():
            os.utime(place)
            return place
        self._make_room(file.size_bytes or 0)
        place.parent.mkdir(parents=True, exist_ok=True)
        return self._remote.fetch(file, lambda chunks: self._receive(place, chunks))

    def _receive(self, place: Path, chunks: Iterator[bytes]) -> Path:
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=_PARTIAL, delete=False) as partial:
            try:
                for chunk in chunks:
                    partial.write(chunk)
                partial.flush()
                os.replace(partial.name, place)
            except BaseException:
                Path(partial.name).unlink(missing_ok=True)
                raise
        return place

    def _make_room(self, size_bytes: int) -> None:
        """Remove parts of downloads that were killed, and the files that were used last while all exceed the budget."""
        remove_abandoned(self._folder.glob(f"{_PARTIAL}*"))
        kept = []
        for file in self._folder.glob("*/*"):
            with suppress(OSError):
                status = file.stat()
                kept.append((status.st_mtime, status.st_size, file.parent))
        evict(kept, self._budget_bytes - size_bytes)


def open_cache() -> RemoteCache:
    """The cache of this user."""
    import platformdirs

    from raydient.workers.data.remote import RemoteFiles

    return RemoteCache(platformdirs.user_cache_path("raydient") / "remote", RemoteFiles(lambda url: True))
