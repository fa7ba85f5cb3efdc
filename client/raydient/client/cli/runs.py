"""The runs of `raydient train`: a folder each, with a name, a description and a lock that the process at work holds.

    train/.lock              held while a run is made or folders are looked through
    train/digits-3f9a/       run.json, lock, checkpoints, logs, the model

The kernel gives a lock back when its process ends, however it ends. A folder that no process holds and that has no
checkpoint is of no use and is removed by the next command.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .failures import NOT_ALLOWED, NOT_FOUND, WRONG_USAGE, Failure

RUN_FILE, LOCK_FILE, ALL_LOCK = "run.json", "lock", ".lock"
FORMAT = "raydient-run/1"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run trains, as it was begun. Paths are absolute.

    Attributes:
        job: the job file.
        specification: in JSON form, every default written out.
        data: the data file; `sha256` is that of its content.
        output: where the model goes.
        created: ISO 8601, UTC.
        reason, message: why the run failed; empty if it did not.
    """

    name: str
    job: str
    specification: dict[str, Any]
    data: str
    sha256: str
    output: str
    transport: str
    cluster: str
    created: str
    reason: str = ""
    message: str = ""
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as it is listed.

    Attributes:
        run: None if its description cannot be read.
        state: `running`, `interrupted`, `failed` or `unreadable`.
        step: of the newest good checkpoint; 0 if there is none.
    """

    name: str
    state: str
    step: int
    run: Run | None


class Runs:
    """The folder of all runs of a user."""

    def __init__(self, root: Path) -> None:
        """Raises Failure if the folder cannot be used."""
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            (root / ALL_LOCK).touch()
        except OSError as error:
            message = f"{root}: checkpoints cannot be kept here: {error.strerror}; XDG_STATE_HOME names another place"
            raise Failure(message, WRONG_USAGE) from error

    @contextmanager
    def begin(self, run: Run) -> Iterator[Path]:
        """Make the folder of a new run, whose name gets an ending, and hold it."""
        with self._all():
            stem = re.sub(r"[^a-z0-9]+", "-", run.name.lower()).strip("-")[:40] or "run"
            folder = self.root / f"{stem}-{secrets.token_hex(3)}"
            folder.mkdir(mode=0o700)
            lock = _hold(folder)
        try:
            write_run(folder, replace(run, name=folder.name))
            yield folder
        finally:
            _let_go(lock)

    @contextmanager
    def take(self, name: str) -> Iterator[tuple[Path, Run]]:
        """Hold the folder of a run to go on with it. Raises Failure: there is none, it is in use, or is unreadable."""
        folder = self._find(name)
        lock = _hold(folder)
        if lock is None:
            raise Failure(f"{name} is in use by another process", NOT_ALLOWED, "RUN_IN_USE")
        try:
            run = read_run(folder)
            if run is None:
                raise Failure(f"{folder / RUN_FILE} cannot be read: {name} cannot go on", NOT_ALLOWED, "RUN_UNREADABLE")
            yield folder, run
        finally:
            _let_go(lock)

    def newest(self, job: Path | None = None) -> str:
        """Name of the interrupted run that was begun last, of this job file if one is given. Raises Failure."""
        from raydient.server.training.failures import OWN_FAULTS

        idle = [one for one in self.list() if one.state in ("interrupted", "failed")]
        found = [one for one in idle if one.run is not None and one.run.reason not in OWN_FAULTS]
        found = [one for one in found if job is None or (one.run is not None and one.run.job == str(job.resolve()))]
        if not found:
            of = f" of {job}" if job else ""
            message = f"there is no interrupted run{of} to go on with; `raydient train --list` shows all runs"
            raise Failure(message, NOT_FOUND, "RUN_NOT_FOUND")
        return found[0].name

    def list(self) -> list[Listed]:
        """All runs, those begun last first."""
        found = [_listed(folder) for folder in self._folders()]
        return sorted(found, key=lambda one: one.run.created if one.run else "", reverse=True)

    def remove(self, name: str) -> None:
        """Remove the folder of a run. Raises Failure: there is none, or it is in use."""
        folder = self._find(name)
        with self._all():
            lock = _hold(folder)
            if lock is None:
                raise Failure(f"{name} is in use by another process", NOT_ALLOWED, "RUN_IN_USE")
            shutil.rmtree(folder)
            _let_go(lock)

    def sweep(self) -> None:
        """Remove folders that no process holds and that have no checkpoint."""
        with self._all():
            for folder in self._folders():
                lock = None if has_checkpoint(folder) else _hold(folder)
                if lock is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    _let_go(lock)

    def _folders(self) -> Iterator[Path]:
        return (path for path in sorted(self.root.iterdir()) if path.is_dir() and not path.is_symlink())

    def _find(self, name: str) -> Path:
        if name not in [folder.name for folder in self._folders()]:
            raise Failure(f"there is no run {name!r}; `raydient train --list` shows all", NOT_FOUND, "RUN_NOT_FOUND")
        return self.root / name

    @contextmanager
    def _all(self) -> Iterator[None]:
        """Keep other processes from making and removing folders meanwhile."""
        with (self.root / ALL_LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def has_checkpoint(folder: Path) -> bool:
    """Whether there is something to go on from."""
    from raydient.server.training.checkpoint_files import named

    try:
        return bool(named(folder / "checkpoints"))
    except OSError:
        return True  # not known, so nothing may be removed


def write_run(folder: Path, run: Run) -> None:
    """Write the description of a run, durably."""
    from raydient.wire.files import write_durably

    write_durably(folder / RUN_FILE, json.dumps(asdict(run), indent=2).encode())


def read_run(folder: Path) -> Run | None:
    """The inverse of `write_run`; None if it is not there, damaged, or of another version."""
    try:
        run = Run(**json.loads((folder / RUN_FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return run if run.format == FORMAT and run.name == folder.name else None


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(folder: Path) -> Listed:
    from raydient.server.training.checkpoint_files import good_manifests

    lock, run = _hold(folder), read_run(folder)
    if lock is not None:
        _let_go(lock)
    step = next((manifest.step for _, manifest, _ in good_manifests(folder / "checkpoints", folder.name)), 0)
    state = "running" if lock is None else "unreadable" if run is None else "failed" if run.reason else "interrupted"
    return Listed(folder.name, state, step, run)


def _hold(folder: Path) -> int | None:
    """Lock a run's folder; None if another process holds it."""
    lock = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _let_go(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
