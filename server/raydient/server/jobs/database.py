"""The database behind the job store: migrations, one writer thread, and readers beside it.

`Database` is the same for every kind of database. All that depends on the kind is in a `Dialect`; see `sqlite`.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from raydient.server.errors import Exhausted, StartError, Unavailable

from .migrations import HEAD
from .schema import metadata

T = TypeVar("T")
log = logging.getLogger(__name__)

QUEUED_WRITES = 1024
PATIENCE_SECONDS = 10.0
"""Time that a write waits for a place in the queue."""


class Dialect(Protocol):
    """One database of some kind, and everything that depends on the kind.

    Attributes:
        name: the database in messages, such as `the database /var/lib/raydient/raydient.db`.
        writer: engine of the writer thread. A commit is durable when it returns, and no other writer changes a row
            between a transaction's read of it and the commit.
        readers: engine whose transactions see one snapshot each, cannot write, and never wait for the writer.
    """

    name: str
    writer: sa.Engine
    readers: sa.Engine

    def create(self) -> None:
        """Create an empty database if there is none. Raises OSError."""

    def check(self, connection: sa.Connection) -> None:
        """Raise the error of `damaged` if the stored bytes are damaged."""

    def is_damage(self, error: Exception) -> bool:
        """True if the error is due to the content of the database and not to access to it."""

    def is_full(self, error: sa.exc.DBAPIError) -> bool:
        """True if a statement failed because no space is left."""

    def damaged(self, cause: str) -> StartError:
        """The error of a damaged database, which names the remedy."""


@dataclass(slots=True)
class _Write:
    work: Callable[[sa.Connection], Any]
    committed: Callable[[Any], None]
    answer: Future[Any]


class Database:
    """One open database. `read` and `write` may be called from any thread and block it; call `close` once, at the end.

    At most `queued_writes` writes wait; a further one waits `patience_seconds` for a place.
    """

    def __init__(
        self, dialect: Dialect, *, queued_writes: int = QUEUED_WRITES, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Open the database, create it if it is absent, and migrate it to this version. Raises StartError."""
        self._dialect = dialect
        try:
            dialect.create()
            with dialect.writer.begin() as connection:
                dialect.check(connection)
                _migrate(connection, dialect.name)
                missing = sorted({*metadata.tables} - {*sa.inspect(connection).get_table_names()})
                if missing:
                    raise dialect.damaged(f"no table {missing[0]}")
        except (OSError, sa.exc.DBAPIError) as error:
            self._dispose()
            if dialect.is_damage(error):
                raise dialect.damaged(_cause(error)) from error
            raise StartError(f"{dialect.name} cannot be opened for writing: {_cause(error)}") from error
        except StartError:
            self._dispose()
            raise
        self._writes: queue.Queue[_Write | None] = queue.Queue(queued_writes)
        self._patience_seconds = patience_seconds
        self._writer = threading.Thread(target=self._write_all, name="job-store-writer", daemon=True)
        self._entry = threading.Lock()
        self._closed = False
        self._writer.start()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Return the result of `work` on a snapshot that includes every write that has returned."""
        try:
            with self._dialect.readers.begin() as connection:
                return work(connection)
        except sa.exc.DBAPIError as error:
            raise self._refusal(error) from error

    def rows(self, query: sa.Select[Any], convert: Callable[[sa.RowMapping], T]) -> list[T]:
        """Return the converted rows of a query."""
        return self.read(lambda connection: [convert(row) for row in connection.execute(query).mappings()])

    def write(self, work: Callable[[sa.Connection], T], committed: Callable[[T], None] = lambda _: None) -> T:
        """Run `work` in a transaction of its own on the writer thread and return its result, which is then durable.

        `committed` is called with the result on the writer thread, in the order of commits and before this returns; it
        must not block. An exception from `work` rolls the transaction back and is raised here.
        """
        write = _Write(work, committed, Future())
        with self._entry:
            if self._closed:
                raise Unavailable("the service is shutting down", reason="SHUTTING_DOWN")
            try:
                self._writes.put(write, timeout=self._patience_seconds)
            except queue.Full as error:
                raise Unavailable("too many writes are waiting", reason="STORE_UNAVAILABLE") from error
        answer: T = write.answer.result()
        return answer

    def close(self) -> None:
        """Carry out the waiting writes, then close all connections."""
        with self._entry:
            if self._closed:
                return
            self._closed = True
            self._writes.put(None)
        self._writer.join()
        self._dispose()

    def _dispose(self) -> None:
        self._dialect.readers.dispose()
        self._dialect.writer.dispose()

    def _write_all(self) -> None:
        while (write := self._writes.get()) is not None:
            try:
                with self._dialect.writer.begin() as connection:
                    result = write.work(connection)
            except sa.exc.DBAPIError as error:
                write.answer.set_exception(self._refusal(error))
                continue
            except Exception as error:
                write.answer.set_exception(error)
                continue
            try:
                write.committed(result)
            except Exception:  # a faulty listener must not undo what is committed nor end this thread
                log.exception("a listener of the job store failed")
            write.answer.set_result(result)

    def _refusal(self, error: sa.exc.DBAPIError) -> Exception:
        log.error("the job store failed: %s", _cause(error))
        if self._dialect.is_full(error):
            return Exhausted("the job store's disk is full", reason="STORE_FULL")
        return Unavailable("the job store cannot be reached", reason="STORE_UNAVAILABLE")


def _migrate(connection: sa.Connection, name: str) -> None:
    known = sa.inspect(connection).has_table("alembic_version")
    version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if known else None
    if version == HEAD:
        return
    import alembic.command  # noqa: PLC0415  (not needed to open a database that is up to date)
    import alembic.config  # noqa: PLC0415
    import alembic.util  # noqa: PLC0415

    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        alembic.command.upgrade(config, "head")
    except alembic.util.CommandError as error:
        raise StartError(f"{name} was written by another version of raydient: {error}") from error


def _cause(error: BaseException) -> str:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__
