"""Uploaded files, known by their content."""

import errno
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePath
from tempfile import NamedTemporaryFile

import sqlalchemy as sa

from raydient.server.errors import AlreadyExists, DataLoss, Exhausted, InvalidRequest, NotFound
from raydient.spec.errors import FieldError

from .database import Database
from .records import Dataset
from .rows import dataset_record, dataset_row
from .schema import datasets as _datasets

SUFFIXES = (".csv", ".npz")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = ".upload-"


class DatasetStore:
    """Files in one folder, named by the SHA-256 of their bytes. May be used from any thread; methods block it.

    Files that an upload left behind when the server died are removed at the start.
    """

    def __init__(
        self, database: Database, folder: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._names = threading.Lock()  # of a file and its row, so that they come and go together
        for torn in folder.glob(f"{_TEMPORARY}*"):
            torn.unlink()

    def get(self, dataset_id: str) -> Dataset:
        """One dataset. Raises NotFound."""
        found = self._find(dataset_id)
        if found is None:
            raise NotFound(f"there is no datasets/{dataset_id}", reason="DATASET_NOT_FOUND")
        return found

    def path(self, dataset_id: str) -> Path:
        """Its file, with the suffix that tells the format. Raises NotFound."""
        return self._file(self.get(dataset_id))

    def page(self, limit: int, before: int | None = None) -> list[Dataset]:
        """At most `limit` datasets, newest first, of those with a number below `before`."""
        query = sa.select(_datasets).order_by(_datasets.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_datasets.c.number < before)
        return self._database.read(
            lambda connection: [dataset_record(row) for row in connection.execute(query).mappings()]
        )

    def delete(self, dataset_id: str) -> None:
        """Remove it; nobody may be about to use it. Raises NotFound."""
        dataset = self.get(dataset_id)
        row = sa.delete(_datasets).where(_datasets.c.id == dataset_id)
        with self._names:
            self._database.write(lambda connection: connection.execute(row))
            self._file(dataset).unlink(missing_ok=True)

    def begin(self, name: str, size_bytes: int, sha256: str) -> "Upload":
        """Start to receive a file. Raises InvalidRequest, Exhausted."""
        check_header(name, size_bytes, sha256)
        if size_bytes > shutil.disk_usage(self._folder).free:
            raise Exhausted(f"no room for {size_bytes} bytes", reason="STORE_FULL")
        return Upload(self, self._folder, Dataset(sha256, name, size_bytes, self._clock()))

    def stored(self, name: str, sha256: str) -> Dataset | None:
        """The dataset with this content, if it is there. Raises AlreadyExists if it is kept under another suffix."""
        found = self._find(sha256)
        if found is not None and found.suffix != PurePath(name).suffix.lower():
            message = f"the same bytes are stored as {found.name}; delete datasets/{found.id} first"
            raise AlreadyExists(message, reason="DATASET_OF_OTHER_FORMAT")
        return found

    def keep(self, temporary: Path, dataset: Dataset) -> Dataset:
        """Give a complete, flushed file its name and remember it; the dataset as it is stored, maybe since before."""
        row = sa.insert(_datasets).values(dataset_row(dataset))
        with self._names:
            known = self.stored(dataset.name, dataset.id)
            if known is not None:
                return known
            os.replace(temporary, self._file(dataset))
            _flush_folder(self._folder)
            self._database.write(lambda connection: connection.execute(row))
        return self.get(dataset.id)

    def _find(self, dataset_id: str) -> Dataset | None:
        query = sa.select(_datasets).where(_datasets.c.id == dataset_id)
        row = self._database.read(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else dataset_record(row)

    def _file(self, dataset: Dataset) -> Path:
        return self._folder / f"{dataset.id}{dataset.suffix}"


class Upload:
    """A file that is being received. Not for several threads at once. `close` it in any case: what was not finished
    leaves nothing."""

    def __init__(self, store: DatasetStore, folder: Path, dataset: Dataset) -> None:
        self._store = store
        self._dataset = dataset
        self._hash = hashlib.sha256()
        self._received = 0
        with _full_disk():
            self._file = NamedTemporaryFile(dir=folder, prefix=_TEMPORARY, delete=False)  # noqa: SIM115  (see close)

    def write(self, chunk: bytes) -> None:
        """The next bytes. Raises DataLoss if there are more than announced, Exhausted."""
        self._received += len(chunk)
        if self._received > self._dataset.size_bytes:
            raise self._wrong_size(f"more than {self._dataset.size_bytes}")
        self._hash.update(chunk)
        with _full_disk():
            self._file.write(chunk)

    def finish(self) -> Dataset:
        """All bytes have come: verify, make durable. Raises DataLoss, Exhausted."""
        if self._received != self._dataset.size_bytes:
            raise self._wrong_size(f"{self._received} instead of {self._dataset.size_bytes}")
        if self._hash.hexdigest() != self._dataset.id:
            raise DataLoss(
                f"the bytes that came have the SHA-256 {self._hash.hexdigest()}, announced was {self._dataset.id}",
                reason="CHECKSUM_MISMATCH",
            )
        with _full_disk():
            self._file.flush()
            os.fsync(self._file.fileno())
        return self._store.keep(Path(self._file.name), self._dataset)

    def close(self) -> None:
        """Remove what was not finished."""
        with _full_disk():
            try:
                self._file.close()
            finally:
                Path(self._file.name).unlink(missing_ok=True)

    @staticmethod
    def _wrong_size(found: str) -> DataLoss:
        return DataLoss(f"bytes that came: {found}", reason="SIZE_MISMATCH")


def check_header(name: str, size_bytes: int, sha256: str) -> None:
    """Raise InvalidRequest with every rule that the announcement of a file breaks."""
    errors = []
    if not name or len(name.encode()) > 255 or not name.isprintable() or PurePath(name).name != name:
        rule = "is not a file's name of 1 to 255 bytes, without folders"
        errors.append(FieldError("header.file_name", f"{name[:300]!r} {rule}"))
    elif PurePath(name).suffix.lower() not in SUFFIXES:
        errors.append(FieldError("header.file_name", f"{name!r} ends neither in {' nor in '.join(SUFFIXES)}"))
    if size_bytes < 1:
        errors.append(
            FieldError("header.size_bytes", "the file is empty" if size_bytes == 0 else f"{size_bytes} is negative")
        )
    if _SHA256.fullmatch(sha256) is None:
        errors.append(FieldError("header.sha256", f"{sha256[:100]!r} is not 64 lower-case hexadecimal digits"))
    if errors:
        raise InvalidRequest(errors, reason="INVALID_HEADER")


def _flush_folder(folder: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _full_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Exhausted("the disk of the server is full", reason="STORE_FULL") from error
        raise
