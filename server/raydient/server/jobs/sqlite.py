"""The SQLite file of a state directory, as a dialect of the job store's database.

In WAL mode readers never wait for the writer. `synchronous=FULL` makes a commit durable before it is answered, so an
acknowledged change survives `kill -9` and the loss of power.
"""

import os
import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection

from raydient.server.errors import StartError

from .database import Database
from .directory import StateDirectory

LOCK_SECONDS = 10.0
"""Time that a statement waits for another process that has locked the file."""
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


def open_database(directory: StateDirectory) -> Database:
    """Open the directory's database, or create it in a new directory.

    Raises StartError if it cannot be opened, is damaged, or is missing or empty beside jobs or datasets.
    """
    contents = directory.contents
    if contents and (problem := emptiness(directory.database)):
        raise StartError(
            f"the state directory {directory.path} holds {contents}, but its database {directory.database.name} "
            f"{problem}: "
            f"restore the database from a backup, or run `raydient rebuild --state {directory.path}`"
        )
    return Database(SQLite(directory.database))


class SQLite:
    """A database file that only its owner can read. See `Dialect`."""

    def __init__(self, path: Path) -> None:
        self.name = f"the database {path}"
        self.writer = _engine(path, "BEGIN IMMEDIATE", "synchronous=FULL")  # IMMEDIATE: takes the lock before it reads
        self.readers = _engine(path, "BEGIN", "query_only=ON")
        self._path = path

    def create(self) -> None:
        # Before SQLite does it, for the mode; the files beside it (-wal, -shm) take the same mode.
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))

    def check(self, connection: sa.Connection) -> None:
        # reads every page of the file once
        result = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        if result != "ok":
            raise self.damaged(" ".join(result.split()))

    def is_damage(self, error: Exception) -> bool:
        code = _result_code(error)
        return code is not None and code not in _ACCESS

    def is_full(self, error: sa.exc.DBAPIError) -> bool:
        return _result_code(error) == sqlite3.SQLITE_FULL

    def damaged(self, cause: str) -> StartError:
        return StartError(
            f"{self.name} is damaged ({cause}): restore it from a backup, or move it aside and run "
            f"`raydient rebuild --state {self._path.parent}`"
        )


def emptiness(path: Path) -> str:
    """The reason why a database holds nothing, such as `is missing`; an empty text if it holds something.

    Creates no file. A damaged database counts as one that holds something.
    """
    if not path.exists():
        return "is missing"
    if path.is_file() and path.stat().st_size == 0:
        return "is empty"
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
        try:
            # this table holds the last number given out, also if its row was deleted
            [(count,)] = connection.execute("SELECT count(*) FROM sqlite_sequence WHERE name IN ('jobs', 'datasets')")
        finally:
            connection.close()
    except sqlite3.Error as error:
        return "has no tables" if "no such table" in str(error) else ""
    return "" if count else "has never stored anything"


def files_of(path: Path) -> list[Path]:
    """The database file and the files that SQLite keeps beside it, whether they exist or not."""
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))]


def _engine(path: Path, begin: str, pragma: str) -> sa.Engine:
    """Create an engine whose transactions start with the statement `begin`; the driver's own rules are switched off."""
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": LOCK_SECONDS}, pool_size=8)

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


def _result_code(error: Exception) -> int | None:
    """The primary result code of SQLite behind an error; None without one."""
    code: int | None = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
