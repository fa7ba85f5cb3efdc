"""Files whose deletion is decided: written down in the transaction that decides it, so that a killed one is completed.

Nothing else is ever removed at a start. A file or folder that the database does not know is left alone, because the
database may be the one that is incomplete.
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
"""What the name of a removal begins with that is planned and not decided."""
ROOMS = ("jobs", "datasets")
log = logging.getLogger(__name__)


def decide_removal(connection: sa.Connection, name: str) -> None:
    """Write down in this transaction that `name`, a path below the state directory, is to be removed."""
    withdraw_removal(connection, name)
    connection.execute(sa.insert(_removals).values(name=name))


def withdraw_removal(connection: sa.Connection, name: str) -> None:
    """Write down in this transaction that `name` stays; harmless if nothing was decided."""
    connection.execute(sa.delete(_removals).where(_removals.c.name.in_([name, PLANNED + name])))


class Removals:
    """Removes what is decided to be removed. May be used from any thread; methods block it.

    Names are paths below `root`, such as `jobs/{id}` or `datasets/{sha256}.csv`.
    """

    def __init__(self, database: Database, root: Path) -> None:
        self._database = database
        self._root = root

    def plan(self, name: str) -> None:
        """Have `name` removed at the next start, unless a transaction withdraws that or `carry_out` comes first.

        For files that are written before the transaction that makes them known. The folder of a job is then removed
        only if it holds nothing but the description: a database that was restored from a backup may hold the plan and
        not the job that came of it.
        """
        self._database.write(lambda connection: decide_removal(connection, PLANNED + name))

    def carry_out(self, name: str) -> None:
        """Remove a file or folder now and forget it. What cannot be removed is logged and tried at the next start."""
        if not _is_ours(name):
            log.warning("%s is listed for removal and is no file of a job or dataset; left alone", name)
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
            log.warning("%s is removed; that could not be noted and is found out at the next start: %s", path, error)

    def complete(self) -> None:
        """Carry out what an earlier server decided and did not finish."""
        names = self._database.read(lambda connection: connection.execute(sa.select(_removals.c.name)).scalars().all())
        for recorded in names:
            name = recorded.removeprefix(PLANNED)
            if recorded != name and _was_used(self._root / name):
                self._database.write(partial(withdraw_removal, name=name))
                continue
            log.info("removing %s, which was deleted or not completed before", self._root / name)
            self.carry_out(name)


def _was_used(path: Path) -> bool:
    """A folder that holds more than a description."""
    return path.is_dir() and any(DESCRIPTION_FILE not in file.name for file in path.iterdir())


def _is_ours(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[0] in ROOMS and parts[1] != ".."
