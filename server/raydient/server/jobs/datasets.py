"""Uploaded files, identified by their content."""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from tempfile import NamedTemporaryFile

import sqlalchemy as sa

from raydient.files import remove_leftovers, sync_folder
from raydient.server.errors import AlreadyExists, DataLoss, InvalidRequest, NotFound
from raydient.server.training.profiles import profiles_file
from raydient.spec.errors import FieldError
from raydient.workers.data import FORMATS, SUFFIXES, array_mend

from .database import Database
from .directory import entries
from .disk import Reserve, disk_may_be_full
from .records import MODEL_SUFFIX, Dataset
from .removals import Removals, decide_removal, withdraw_removal
from .rows import dataset_record, dataset_row
from .schema import datasets as _datasets

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = ".upload-"
_DATA = tuple(suffix for format_ in FORMATS if format_.is_stored for suffix in format_.suffixes)


class DatasetStore:
    """Files in one folder, named by the SHA-256 of their bytes. May be used from any thread; methods block it.

    Opening the store removes partial files of uploads that a killed server did not finish. Other files that the
    database does not know are not touched.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        reserve: Reserve | None = None,
    ) -> None:
        """`reserve` is the space that uploads leave free on the disk."""
        self._database = database
        self._folder = folder
        self._clock = clock
        self._reserve = reserve or Reserve()
        self._removals = Removals(database, folder.parent)
        self._keeping = threading.Lock()  # guards a file and its row, which are added and removed together
        for unfinished in folder.glob(f"{_TEMPORARY}*"):
            unfinished.unlink()
        remove_leftovers(folder)

    def get(self, dataset_id: str) -> Dataset:
        """One dataset. Raises NotFound."""
        dataset = self._find(dataset_id)
        if dataset is None:
            raise NotFound(f"there is no datasets/{dataset_id}", reason="DATASET_NOT_FOUND")
        return dataset

    def path(self, dataset_id: str) -> Path:
        """Path of a dataset's file; the suffix gives the format. Raises NotFound."""
        return self._file(self.get(dataset_id))

    def page(self, limit: int, before: int | None = None) -> list[Dataset]:
        """At most `limit` datasets, newest first, of those with a number below `before`."""
        query = sa.select(_datasets).order_by(_datasets.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_datasets.c.number < before)
        return self._database.rows(query, dataset_record)

    def delete(self, dataset_id: str) -> None:
        """Remove a dataset. The caller ensures that no unfinished job uses it. Raises NotFound."""
        dataset = self.get(dataset_id)
        file = self._file(dataset)
        names = [self._name(path) for path in (file, profiles_file(file))]

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.delete(_datasets).where(_datasets.c.id == dataset_id))
            for name in names:
                decide_removal(connection, name)

        with self._keeping:
            self._database.write(work)
            for name in names:
                self._removals.carry_out(name)

    def begin(self, name: str, size_bytes: int, sha256: str) -> "Upload":
        """Begin an upload. Raises InvalidRequest, Exhausted."""
        check_header(name, size_bytes, sha256)
        self.check_room(size_bytes)
        return Upload(self, self._folder, Dataset(sha256, name, size_bytes, self.now()))

    def now(self) -> datetime:
        """The time that a dataset is created."""
        return self._clock()

    def receive(self, name: str) -> "Incoming":
        """Begin to store a file of unknown size and content. Raises InvalidRequest, Exhausted."""
        check_name(name)
        return Incoming(self, self._folder, name)

    def check_room(self, size_bytes: int) -> None:
        """Raise Exhausted unless the reserve stays free after writing `size_bytes`."""
        self._reserve.check(self._folder, size_bytes)

    def stored(self, name: str, sha256: str) -> Dataset | None:
        """The dataset with this content, or None. Raises AlreadyExists if it is stored with another suffix."""
        dataset = self._find(sha256)
        if dataset is not None and dataset.suffix != replace(dataset, name=name).suffix:
            message = f"the same bytes are stored as {dataset.name}; delete datasets/{dataset.id} first"
            raise AlreadyExists(message, reason="DATASET_OF_OTHER_FORMAT")
        return dataset

    def keep(self, temporary: Path, dataset: Dataset) -> Dataset:
        """Rename a complete, flushed file and store its row. Returns the stored dataset, which may be an earlier one.

        After Exhausted or Unavailable there is neither a file nor a row.
        """
        file = self._file(dataset)
        name = self._name(file)

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.insert(_datasets).values(dataset_row(dataset)))
            withdraw_removal(connection, name)

        with self._keeping:
            known = self.stored(dataset.name, dataset.id)
            if known is not None:
                return known
            self._removals.plan(name)  # for a server that is killed before the row is stored
            try:
                with disk_may_be_full():
                    os.replace(temporary, file)
                    sync_folder(self._folder)
                self._database.write(work)
            except Exception:
                self._removals.carry_out(name)
                raise
        return self.get(dataset.id)

    def _find(self, dataset_id: str) -> Dataset | None:
        query = sa.select(_datasets).where(_datasets.c.id == dataset_id)
        return next(iter(self._database.rows(query, dataset_record)), None)

    def _file(self, dataset: Dataset) -> Path:
        return self._folder / f"{dataset.id}{dataset.suffix}"

    def _name(self, file: Path) -> str:
        """The name of a file for `Removals`: its path below the state directory."""
        return f"{self._folder.name}/{file.name}"

    def adopt(self, file: Path, name: str) -> Dataset:
        """Store the row of a file that is already in the folder and had the original name `name`.

        Raises DataLoss if the file's name is not the SHA-256 of its content.
        """
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            status = os.fstat(opened.fileno())
        if file.name not in {digest + suffix for suffix in (*SUFFIXES, MODEL_SUFFIX)}:
            raise DataLoss(f"its content has the SHA-256 {digest}", reason="CHECKSUM_MISMATCH")
        created = datetime.fromtimestamp(status.st_mtime, UTC)
        row = sa.insert(_datasets).values(dataset_row(Dataset(digest, name, status.st_size, created)))
        self._database.write(lambda connection: connection.execute(row))
        return self.get(digest)

    def unknown_files(self) -> list[Path]:
        """Files in the folder that belong to no dataset."""
        query = sa.select(_datasets.c.id)
        known = self._database.read(lambda connection: set(connection.execute(query).scalars()))
        return [file for file in entries(self._folder) if file.name.partition(".")[0] not in known]


class Incoming:
    """A file that is being received. Not thread-safe. Always call `close`, which removes an unfinished file."""

    def __init__(self, store: DatasetStore, folder: Path, name: str) -> None:
        self._store = store
        self._name = name
        self._hash = hashlib.sha256()
        self._received = 0
        with disk_may_be_full():
            self._file = NamedTemporaryFile(dir=folder, prefix=_TEMPORARY, delete=False)  # noqa: SIM115  (see close)

    def write(self, chunk: bytes) -> None:
        """Add the next bytes. Raises Exhausted."""
        self._received += len(chunk)
        self._store.check_room(len(chunk))
        self._hash.update(chunk)
        with disk_may_be_full():
            self._file.write(chunk)

    def finish(self) -> Dataset:
        """Make the file durable and return the dataset. Raises Exhausted, AlreadyExists."""
        with disk_may_be_full():
            self._file.flush()
            os.fsync(self._file.fileno())
        dataset = Dataset(self._hash.hexdigest(), self._name, self._received, self._store.now())
        return self._store.keep(Path(self._file.name), dataset)

    def close(self) -> None:
        """Remove the partial file, if any."""
        with disk_may_be_full():
            try:
                self._file.close()
            finally:
                Path(self._file.name).unlink(missing_ok=True)


class Upload(Incoming):
    """A file whose size and content the client has announced."""

    def __init__(self, store: DatasetStore, folder: Path, announced: Dataset) -> None:
        super().__init__(store, folder, announced.name)
        self._announced = announced

    def write(self, chunk: bytes) -> None:
        """Add the next bytes. Raises DataLoss if the file is larger than announced, Exhausted."""
        if self._received + len(chunk) > self._announced.size_bytes:
            raise self._wrong_size(f"more than {self._announced.size_bytes}")
        super().write(chunk)

    def finish(self) -> Dataset:
        """Verify the bytes and make the file durable. Raises DataLoss, Exhausted."""
        if self._received != self._announced.size_bytes:
            raise self._wrong_size(f"{self._received} instead of {self._announced.size_bytes}")
        if self._hash.hexdigest() != self._announced.id:
            raise DataLoss(
                f"the received bytes have the SHA-256 {self._hash.hexdigest()} instead of {self._announced.id}",
                reason="CHECKSUM_MISMATCH",
            )
        return super().finish()

    @staticmethod
    def _wrong_size(received: str) -> DataLoss:
        return DataLoss(f"received {received} bytes", reason="SIZE_MISMATCH")


def check_name(name: str) -> None:
    """Raise InvalidRequest if a file of data may not have this name."""
    if error := _bad_name(name, _DATA):
        raise InvalidRequest([error], reason="INVALID_HEADER")


def _bad_name(name: str, suffixes: Sequence[str]) -> FieldError | None:
    if not name or len(name.encode()) > 255 or not name.isprintable() or PurePath(name).name != name:
        return FieldError("header.file_name", f"{name[:300]!r} is not a file name of 1 to 255 bytes without folders")
    if not _ends_in(name, suffixes):
        mend = f"; {text}" if (text := array_mend(name)) else ""
        return FieldError("header.file_name", f"{name!r} ends in none of {', '.join(suffixes)}{mend}")
    return None


def is_stored(name: str) -> bool:
    """True if files of this name are stored, of data or of a model."""
    return _ends_in(name, (*_DATA, MODEL_SUFFIX))


def _ends_in(name: str, suffixes: Sequence[str]) -> bool:
    return any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in suffixes)


def check_header(name: str, size_bytes: int, sha256: str) -> None:
    """Raise InvalidRequest with every broken rule of an upload's header."""
    errors = [error] if (error := _bad_name(name, (*_DATA, MODEL_SUFFIX))) else []
    if size_bytes < 1:
        errors.append(
            FieldError("header.size_bytes", "the file is empty" if size_bytes == 0 else f"{size_bytes} is negative")
        )
    if _SHA256.fullmatch(sha256) is None:
        errors.append(FieldError("header.sha256", f"{sha256[:100]!r} is not 64 lower-case hexadecimal digits"))
    if errors:
        raise InvalidRequest(errors, reason="INVALID_HEADER")
