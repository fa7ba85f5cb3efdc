"""Opens the database of a state directory, unless it was lost while jobs are still there."""

import sqlite3
from pathlib import Path

from raydient.server.errors import StartError

from .database import Database
from .directory import StateDirectory


def open_database(directory: StateDirectory) -> Database:
    """The directory's database; a new one where the directory is new.

    Raises StartError: it cannot be opened or is damaged, or it is missing or empty beside jobs or datasets.
    """
    found = directory.contents
    if found and (lost := is_empty(directory.database)):
        raise StartError(
            f"the state directory {directory.path} holds {found}, but its database {directory.database.name} {lost}: "
            f"restore the database from a backup, or run `raydient rebuild --state {directory.path}`"
        )
    return Database(directory.database)


def is_empty(path: Path) -> str:
    """How a database came to know nothing: `is missing`, `is empty`, `has never stored anything`. Else an empty text.

    Creates no file. A damaged one is not empty.
    """
    if not path.exists():
        return "is missing"
    if path.is_file() and path.stat().st_size == 0:
        return "is empty"
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
        try:
            # numbers are given out from this table, which remembers rows that were deleted since
            [(count,)] = connection.execute("SELECT count(*) FROM sqlite_sequence WHERE name IN ('jobs', 'datasets')")
        finally:
            connection.close()
    except sqlite3.Error as error:
        return "has no tables" if "no such table" in str(error) else ""
    return "" if count else "has never stored anything"
