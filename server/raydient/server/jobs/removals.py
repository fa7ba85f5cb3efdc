"""Removal of files, recorded in the transaction that decides it, so that a killed server's removals are completed.

A start removes nothing else. A file or folder that the database does not know is not touched, because the database may
be the incomplete part.
"""

import logging
import shutil
from functools import partial
from pathlib import Path, PurePosixPath

import sqlalchemy as sa

from raydient.server.errors import ServiceError

from .database import Database
from .description import DESCRIPTION_FILE
from .schema import removals as _removals

PLANNED = "?"
"""Prefix of the name of a removal that is planned but not decided."""
ROOMS = ("jobs", "datasets")
log = logging.getLogger(__name__)


def decide_removal(connection: sa.Connection, name: str) -> None:
    """Record the removal of `name`, a path below the state directory, in this transaction."""
    withdraw_removal(connection, name)
    connection.execute(sa.insert(_removals).values(name=name))


def withdraw_removal(connection: sa.Connection, name: str) -> None:
    """Delete the record of a removal of `name` in this transaction; harmless if there is none."""
    connection.execute(sa.delete(_removals).where(_removals.c.name.in_([name, PLANNED + name])))


class Removals:
    """Carries out recorded removals. May be used from any thread; methods block it.

    Names are paths below `root`, such as `jobs/{id}` or `datasets/{sha256}.csv`.
    """

    def __init__(self, database: Database, root: Path) -> None:
        self._database = database
        self._root = root

    def plan(self, name: str) -> None:
        """Record that the next start removes `name`, unless a transaction withdraws that or `carry_out` comes first.

        For files that are written before the transaction that stores their row. The folder of a job is then removed
        only if it holds nothing but the description, because a database restored from a backup may contain the plan
        but not the job.
        """
        self._database.write(lambda connection: decide_removal(connection, PLANNED + name))

    def carry_out(self, name: str) -> None:
        """Remove a file or folder now and delete its record. Failures are logged and retried at the next start."""
        if not _is_ours(name):
            log.warning("%s is listed for removal, but is not a file of a job or dataset; left alone", name)
            return
        path = self._root / name
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            self._database.write(lambda connection: withdraw_removal(connection, name))
        except OSError as error:
            log.warning("%s cannot be removed, the next start tries again: %s", path, error.strerror or error)
        except ServiceError as error:
            log.warning("%s is removed; its record stays until the next start: %s", path, error)

    def complete(self) -> None:
        """Carry out the removals that an earlier server recorded and did not finish."""
        names = self._database.read(lambda connection: connection.execute(sa.select(_removals.c.name)).scalars().all())
        for recorded in names:
            name = recorded.removeprefix(PLANNED)
            if recorded != name and _was_used(self._root / name):
                self._database.write(partial(withdraw_removal, name=name))
                continue
            log.info("removing %s, which was deleted or not completed before", self._root / name)
            self.carry_out(name)


def _was_used(path: Path) -> bool:
    """True for a folder that holds more than a description."""
    return path.is_dir() and any(DESCRIPTION_FILE not in file.name for file in path.iterdir())


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[0] in ROOMS and parts[1] != ".."
