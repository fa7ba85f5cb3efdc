"""Opens the database of a state directory; refuses to create a new one beside existing jobs or datasets."""

import sqlite3
from pathlib import Path

from raydient.server.errors import StartError

from .database import Database
from .directory import StateDirectory


def open_database(directory: StateDirectory) -> Database:
    """Open the directory's database, or create it in a new directory.

    Raises StartError if it cannot be opened, is damaged, or is missing or empty beside jobs or datasets.
    """
    contents = directory.contents
    if contents and (lost := is_empty(directory.database)):
        raise StartError(
            f"the state directory {directory.path} holds {contents}, but its database {directory.database.name} "
            f"{lost}: "
            f"restore the database from a backup, or run `raydient rebuild --state {directory.path}`"
        )
    return Database(directory.database)


def is_empty(path: Path) -> str:
    """Why a database holds nothing: `is missing`, `is empty`, `has never stored anything`; else an empty text.

    Creates no file. A damaged one is not empty.
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
