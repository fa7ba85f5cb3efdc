"""The state directory: its layout, its permissions, and its lock, which one server can hold."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from raydient.server.errors import StartError


class StateDirectory:
    """The folder of one running server; held by a lock until `close`.

    ::

        raydient.db    jobs, events, metrics
        datasets/      uploaded files, by content
        jobs/{id}/     description, checkpoints and model of a job
        lock
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.database = self.path / "raydient.db"
        self.datasets = self.path / "datasets"
        self.jobs = self.path / "jobs"
        try:
            for folder in (self.path, self.datasets, self.jobs):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"the state directory {self.path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise StartError(f"another raydient serve uses the state directory {self.path}") from error

    @property
    def contents(self) -> str:
        """The content of the folders as text, such as `3 jobs and 1 dataset`; empty if there is none."""
        counts = {"job": len(list(entries(self.jobs))), "dataset": len(list(entries(self.datasets)))}
        return " and ".join(f"{count} {noun}{'s' * (count > 1)}" for noun, count in counts.items() if count)

    def job(self, job_id: str) -> Path:
        """The folder of a job's checkpoints and model."""
        return self.jobs / job_id

    def close(self) -> None:
        """Unlock the directory for another server. Harmless when repeated."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def entries(folder: Path) -> Iterator[Path]:
    """The entries of a folder, sorted by name, without partial uploads."""
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
