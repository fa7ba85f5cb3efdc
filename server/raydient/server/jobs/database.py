"""The SQLite file behind the job store: opening, migrating, one writer thread, readers beside it.

In WAL mode readers never wait for the writer. `synchronous=FULL` makes a commit durable before it is answered, so what
was acknowledged survives `kill -9` and the loss of power.
"""

import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from raydient.server.errors import Exhausted, StartError, Unavailable

from .migrations import HEAD
from .schema import metadata

T = TypeVar("T")
log = logging.getLogger(__name__)

QUEUED_WRITES = 1024
PATIENCE_SECONDS = 10.0
"""How long a write waits for a place in the queue, and a connection for another process that holds the file."""
_ACCESS = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""Result codes of SQLite that do not depend on the content of the file."""


@dataclass(slots=True)
class _Write:
    work: Callable[[sa.Connection], Any]
    committed: Callable[[Any], None]
    answer: Future[Any]


class Database:
    """One open job store. `read` and `write` may be called from any thread and block it; close it once, at the end."""

    def __init__(self, path: Path) -> None:
        self._engine = _engine(path, "BEGIN IMMEDIATE", "synchronous=FULL")
        self._readers = _engine(path, "BEGIN", "query_only=ON")
        try:
            # made before SQLite does it, for the mode; the files it puts beside it (-wal, -shm) take the same mode
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            with self._engine.begin() as connection:
                _check_pages(connection, path)
                _migrate(connection, path)
                _check_tables(connection, path)
        except (OSError, sa.exc.DBAPIError) as error:
            self._dispose()
            if _is_damage(error):
                raise damaged(path, _cause(error)) from error
            raise StartError(f"the database {path} cannot be opened for writing: {_cause(error)}") from error
        except StartError:
            self._dispose()
            raise
        self._writes: queue.Queue[_Write | None] = queue.Queue(QUEUED_WRITES)
        self._writer = threading.Thread(target=self._write_all, name="job-store-writer", daemon=True)
        self._entry = threading.Lock()
        self._closed = False
        self._writer.start()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """The result of `work` on a consistent snapshot that holds every write answered before."""
        try:
            with self._readers.begin() as connection:
                return work(connection)
        except sa.exc.DBAPIError as error:
            raise _refusal(error) from error

    def write(self, work: Callable[[sa.Connection], T], committed: Callable[[T], None] = lambda _: None) -> T:
        """The result of `work`, run in a transaction of its own on the writer thread; durable when this returns.

        `committed` hears of the result on the writer thread, in the order of commits and before this returns; it must
        not block. An exception from `work` undoes the transaction and is raised here.
        """
        write = _Write(work, committed, Future())
        with self._entry:
            if self._closed:
                raise Unavailable("the service is shutting down", reason="SHUTTING_DOWN")
            try:
                self._writes.put(write, timeout=PATIENCE_SECONDS)
            except queue.Full as error:
                raise Unavailable("too many writes are waiting", reason="STORE_UNAVAILABLE") from error
        answer: T = write.answer.result()
        return answer

    def close(self) -> None:
        """Carry out the writes that wait, then close the file."""
        with self._entry:
            if self._closed:
                return
            self._closed = True
            self._writes.put(None)
        self._writer.join()
        self._dispose()

    def _dispose(self) -> None:
        self._readers.dispose()
        self._engine.dispose()

    def _write_all(self) -> None:
        while (write := self._writes.get()) is not None:
            try:
                with self._engine.begin() as connection:
                    result = write.work(connection)
            except sa.exc.DBAPIError as error:
                write.answer.set_exception(_refusal(error))
                continue
            except Exception as error:
                write.answer.set_exception(error)
                continue
            try:
                write.committed(result)
            except Exception:  # a faulty listener must not undo what is committed nor end this thread
                log.exception("a listener of the job store failed")
            write.answer.set_result(result)


def damaged(path: Path, cause: str) -> StartError:
    """The error of a damaged database, with its mend."""
    return StartError(
        f"the database {path} is damaged ({cause}): restore it from a backup, or move it aside and run "
        f"`raydient rebuild --state {path.parent}`"
    )


def _is_damage(error: BaseException) -> bool:
    """True if the error is due to the content of the file and not to access to it."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return code is not None and code & 0xFF not in _ACCESS


def _check_pages(connection: sa.Connection, path: Path) -> None:
    """Read every page of the file once, to detect damage at the start. Raises StartError."""
    result = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
    if result != "ok":
        raise damaged(path, " ".join(result.split()))


def _check_tables(connection: sa.Connection, path: Path) -> None:
    missing = sorted({*metadata.tables} - {*sa.inspect(connection).get_table_names()})
    if missing:
        raise damaged(path, f"no table {missing[0]}")


def _engine(path: Path, begin: str, pragma: str) -> sa.Engine:
    """Connections whose transactions start with the statement `begin`; the driver's own rules are switched off."""
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": PATIENCE_SECONDS}, pool_size=8)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, record: object) -> None:
        assert isinstance(connection, sqlite3.Connection)
        connection.isolation_level = None
        for setting in ("journal_mode=WAL", "foreign_keys=ON", pragma):
            connection.execute(f"PRAGMA {setting}")

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _migrate(connection: sa.Connection, path: Path) -> None:
    known = sa.inspect(connection).has_table("alembic_version")
    version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if known else None
    if version == HEAD:
        return
    import alembic.command  # noqa: PLC0415  (a start with a database that is up to date does without)
    import alembic.config  # noqa: PLC0415
    import alembic.util  # noqa: PLC0415

    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        alembic.command.upgrade(config, "head")
    except alembic.util.CommandError as error:
        raise StartError(f"the database {path} was written by another version of raydient: {error}") from error


def _refusal(error: sa.exc.DBAPIError) -> Exception:
    log.error("the job store failed: %s", _cause(error))
    if "full" in _cause(error):
        return Exhausted("the job store's disk is full", reason="STORE_FULL")
    return Unavailable("the job store cannot be reached", reason="STORE_UNAVAILABLE")


def _cause(error: BaseException) -> str:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__
