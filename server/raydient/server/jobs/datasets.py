"""Uploaded files, identified by their content."""

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, cast

import sqlalchemy as sa

from raydient.files import remove_leftovers, sync_folder
from raydient.server.errors import AlreadyExists, DataLoss, Exhausted, NotFound, OutOfRange
from raydient.server.training.profiles import profiles_file
from raydient.workers.data import SUFFIXES

from .database import Database
from .directory import entries
from .disk import Reserve, disk_may_be_full
from .headers import Header, check_content, check_name
from .partial import PartialFiles, upload_key
from .records import MODEL_SUFFIX, Dataset
from .removals import Removals, decide_removal, withdraw_removal
from .rows import dataset_record, dataset_row
from .schema import datasets as _datasets

_TEMPORARY = ".upload-"


class DatasetStore:
    """Files in one folder, named by the SHA-256 of their bytes. May be used from any thread; methods block it.

    Opening the store removes files that a killed server did not finish, except those of uploads, which can be resumed
    for a day. Other files that the database does not know are not touched.
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
        self._partial = PartialFiles(folder)
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

    def begin(self, header: Header) -> "Upload":
        """Begin an upload, which has to be opened. Does not block. Raises InvalidRequest."""
        header.check()
        return Upload(self, self._partial, header)

    def kept_bytes(self, sha256: str, size_bytes: int, caller: str = "") -> int:
        """Number of bytes that are kept of a caller's upload that broke; 0 if none is. Raises InvalidRequest."""
        check_content(size_bytes, sha256)
        return self._partial.size(upload_key(sha256, size_bytes, caller))

    def now(self) -> datetime:
        """The time that a dataset is created."""
        return self._clock()

    def receive(self, name: str) -> "Incoming":
        """Begin to store a file of unknown size and content. Raises InvalidRequest, Exhausted."""
        check_name(name)
        incoming = Incoming(self, name)
        incoming.open()
        return incoming

    def temporary(self) -> tuple[BinaryIO, Path]:
        """Create a file that the next start removes. Raises OSError."""
        file = NamedTemporaryFile(dir=self._folder, prefix=_TEMPORARY, delete=False)  # noqa: SIM115  (`Incoming` closes)
        return cast(BinaryIO, file), Path(file.name)

    def check_room(self, size_bytes: int) -> None:
        """Raise Exhausted unless the reserve stays free after writing `size_bytes`; uploads that broke give way."""
        try:
            self._reserve.check(self._folder, size_bytes)
        except Exhausted:
            if not self._partial.make_room():
                raise
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

    def __init__(self, store: DatasetStore, name: str) -> None:
        self._store = store
        self._name = name
        self._hash = hashlib.sha256()
        self._received = 0
        self._path: Path | None = None

    def open(self) -> None:
        """Create the file. Raises Exhausted."""
        with disk_may_be_full():
            self._use(*self._store.temporary())

    def write(self, *chunks: bytes) -> None:
        """Add the next bytes. Raises Exhausted."""
        self._store.check_room(sum(map(len, chunks)))
        for chunk in chunks:
            self._received += len(chunk)
            self._hash.update(chunk)
            with disk_may_be_full():
                self._file.write(chunk)

    def finish(self) -> Dataset:
        """Make the file durable and return the dataset. Raises Exhausted, AlreadyExists."""
        assert self._path is not None
        with disk_may_be_full():
            self._file.flush()
            os.fsync(self._file.fileno())
        dataset = Dataset(self._hash.hexdigest(), self._name, self._received, self._store.now())
        return self._store.keep(self._path, dataset)

    def close(self) -> None:
        """Remove the partial file, if any."""
        if self._path is None:
            return
        with disk_may_be_full():
            try:
                self._file.close()
            finally:
                self._path.unlink(missing_ok=True)

    def _use(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path


class Upload(Incoming):
    """A file whose size and content the client has announced, and which may go on with one that broke."""

    def __init__(self, store: DatasetStore, partial: PartialFiles, header: Header) -> None:
        super().__init__(store, header.name)
        self._announced = header
        self._partial = partial
        self._key = upload_key(header.sha256, header.size_bytes, header.caller)
        self._is_claimed = False

    def open(self) -> None:
        """Open the file of the upload that broke, or a new one. Blocks while the bytes before the offset are read.

        Raises OutOfRange if another number of bytes is kept, Exhausted.
        """
        with disk_may_be_full():
            file = self._partial.open(self._key)
        if file is None:  # an equal upload is in progress
            if self._announced.offset:
                raise self._wrong_offset(0)
            super().open()
        else:
            self._is_claimed = True
            self._use(file, self._partial.path(self._key))
            self._go_on()
        self._store.check_room(self._announced.size_bytes - self._announced.offset)

    def write(self, *chunks: bytes) -> None:
        """Add the next bytes. Raises DataLoss if the file is larger than announced, Exhausted."""
        if self._received + sum(map(len, chunks)) > self._announced.size_bytes:
            raise self._wrong_size(f"more than {self._announced.size_bytes}")
        super().write(*chunks)

    def finish(self) -> Dataset:
        """Verify the bytes and make the file durable. Raises DataLoss, Exhausted."""
        if self._received != self._announced.size_bytes:
            raise self._wrong_size(f"{self._received} instead of {self._announced.size_bytes}")
        if self._hash.hexdigest() != self._announced.sha256:
            raise DataLoss(
                f"the received bytes have the SHA-256 {self._hash.hexdigest()} instead of {self._announced.sha256}",
                reason="CHECKSUM_MISMATCH",
            )
        return super().finish()

    def suspend(self) -> None:
        """Close the file and keep its bytes for an upload that goes on from there, if that is possible."""
        if self._is_claimed and self._received:
            with suppress(OSError):  # a full disk: `close` removes the file
                self._file.close()
                self._path = None

    def close(self) -> None:
        """Remove the partial file, if any, unless it was suspended."""
        try:
            super().close()
        finally:
            if self._is_claimed:
                self._is_claimed = False
                self._partial.release(self._key)

    def _go_on(self) -> None:
        """Begin behind the bytes of the file, or remove them if the offset is 0. Raises OutOfRange."""
        kept = self._file.tell()
        if self._announced.offset not in (0, kept):
            self._received = kept
            self.suspend()
            raise self._wrong_offset(kept)
        self._file.truncate(self._announced.offset)
        self._received = self._announced.offset
        assert self._path is not None
        with self._path.open("rb") as earlier:
            hashlib.file_digest(earlier, lambda: self._hash)

    def _wrong_offset(self, kept: int) -> OutOfRange:
        message = f"the offset is {self._announced.offset}, and {kept} bytes of an earlier upload are kept"
        return OutOfRange(message, reason="OFFSET_MISMATCH")

    @staticmethod
    def _wrong_size(received: str) -> DataLoss:
        return DataLoss(f"received {received} bytes", reason="SIZE_MISMATCH")
