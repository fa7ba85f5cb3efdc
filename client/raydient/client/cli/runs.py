"""The runs of `raydient train`: one folder per run, with a description and a lock that the training process holds.

    train/.lock              held while a run's folder is created, removed or swept
    train/digits-3f9a/       run.json, lock, checkpoints, logs, the model

The kernel releases a lock when its process ends. A folder that no process holds and that has no
checkpoint is useless; the next command removes it.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from raydient import files
from raydient.spec.decoding import SUFFIXES
from raydient.spec.folders import labelled_files
from raydient.spec.patterns import DataPath, from_texts, opened_files
from raydient.spec.text_files import TEXT_SUFFIXES

from .failures import NOT_ALLOWED, NOT_FOUND, WRONG_USAGE, Failure

RUN_FILE, LOCK_FILE, ALL_LOCK = "run.json", "lock", ".lock"
FORMAT = "raydient-run/2"
KEPT_DAYS = 90
"""Days for which a run that did not end is kept after its last use."""


@dataclass(frozen=True, slots=True)
class Run:
    """The description of a run, as stored in `run.json`. Paths are absolute.

    Attributes:
        name: name of the run's folder.
        job: the job file.
        specification: in JSON form, every default written out.
        data: the data files; `sha256` is that of their content.
        validation: the files of the held-out data with their `validation_sha256`; empty if there are none.
        output: file that the model is written to.
        transport, cluster: values of the command's options.
        created: ISO 8601, UTC.
        reason, message: why the run failed; empty if it did not.
        format: FORMAT of the version that wrote the description.
    """

    name: str
    job: str
    specification: dict[str, Any]
    data: list[str]
    sha256: str
    output: str
    transport: str
    cluster: str
    created: str
    reason: str = ""
    message: str = ""
    format: str = FORMAT
    validation: list[str] = field(default_factory=list)
    validation_sha256: str = ""

    @property
    def files(self) -> list[tuple[DataPath, str]]:
        """The data that the run reads, each with the SHA-256 of its content."""
        several = (from_texts(self.data), self.sha256), (from_texts(self.validation), self.validation_sha256)
        return [(data, sha256) for data, sha256 in several if data is not None]


@dataclass(frozen=True, slots=True)
class Listed:
    """One run in the list of runs.

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
        """Create the folder if it is absent. Raises Failure if it cannot be used."""
        self.root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            (root / ALL_LOCK).touch()
        except OSError as error:
            message = f"{root}: checkpoints cannot be kept here: {error.strerror}; XDG_STATE_HOME names another place"
            raise Failure(message, WRONG_USAGE) from error

    @contextmanager
    def begin(self, run: Run) -> Iterator[Path]:
        """Create the folder of a new run and hold its lock. The folder's name is the run's with a random suffix."""
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
        """Hold a run's lock in order to resume it. Raises Failure if the run is absent, in use or unreadable."""
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
        """Name of the newest run, of `job` unless it is None, that can be resumed. Raises Failure if none can."""
        from raydient.server.training.own_faults import OWN_FAULTS

        idle = [one for one in self.list() if one.state in ("interrupted", "failed")]
        resumable = [one for one in idle if one.run is not None and one.run.reason not in OWN_FAULTS]
        resumable = [
            one for one in resumable if job is None or (one.run is not None and one.run.job == str(job.resolve()))
        ]
        if not resumable:
            of = f" of {job}" if job else ""
            message = f"there is no interrupted run{of} to go on with; `raydient train --list` shows all runs"
            raise Failure(message, NOT_FOUND, "RUN_NOT_FOUND")
        return resumable[0].name

    def list(self) -> list[Listed]:
        """All runs, newest first."""
        runs = [_listed(folder) for folder in self._folders()]
        return sorted(runs, key=lambda one: one.run.created if one.run else "", reverse=True)

    def remove(self, name: str) -> None:
        """Remove the folder of a run. Raises Failure if the run is absent or in use."""
        folder = self._find(name)
        with self._all():
            lock = _hold(folder)
            if lock is None:
                raise Failure(f"{name} is in use by another process", NOT_ALLOWED, "RUN_IN_USE")
            try:
                shutil.rmtree(folder)
            finally:
                _let_go(lock)

    def sweep(self) -> None:
        """Remove folders that no process holds and that have no checkpoint, or were last used `KEPT_DAYS` ago."""
        with self._all():
            for folder in self._folders():
                is_kept = has_checkpoint(folder) and time.time() - _last_use(folder) < KEPT_DAYS * 86_400
                lock = None if is_kept else _hold(folder)
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
        """Hold the lock without which no process creates or removes folders."""
        with (self.root / ALL_LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _last_use(folder: Path) -> float:
    """Unix time at which a run last began, or took a checkpoint; now, if that is unknown."""
    try:
        return max(path.stat().st_mtime for path in (folder / RUN_FILE, folder / "checkpoints") if path.exists())
    except (OSError, ValueError):
        return time.time()


def has_checkpoint(folder: Path) -> bool:
    """True if the run's folder holds a checkpoint, even a damaged one, or cannot be searched for one."""
    try:
        return any(not name.startswith(".") for name in os.listdir(folder / "checkpoints"))
    except FileNotFoundError:
        return False
    except OSError:
        return True  # unknown, so the folder must not be removed


def write_run(folder: Path, run: Run) -> None:
    """Write the description of a run, durably."""
    from raydient.files import write_durably

    write_durably(folder / RUN_FILE, json.dumps(asdict(run), indent=2).encode())


def read_run(folder: Path) -> Run | None:
    """Inverse of `write_run`; None if the description is absent, damaged, or of another version."""
    try:
        run = Run(**json.loads((folder / RUN_FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return run if run.format == FORMAT and run.name == folder.name else None


def sha256_of(data: DataPath) -> str:
    """SHA-256 of a file's content, in hexadecimal; of several files, or those of a folder, of names and contents.

    Raises:
        OSError: a file cannot be read.
    """
    if isinstance(data, Path) and data.is_dir():
        named = [(f"{data.name}/{name}", data / name) for name, _ in labelled_files(data, (*SUFFIXES, *TEXT_SUFFIXES))]
    else:
        named = [(file.name, file) for file in opened_files(data)]
    if [file for _, file in named] == [data]:
        return files.sha256_of(named[0][1])
    return hashlib.sha256(json.dumps([[name, files.sha256_of(file)] for name, file in named]).encode()).hexdigest()


def _listed(folder: Path) -> Listed:
    from raydient.server.training.checkpoint_files import saved_step

    lock, run = _hold(folder), read_run(folder)
    if lock is not None:
        _let_go(lock)
    state = "running" if lock is None else "unreadable" if run is None else "failed" if run.reason else "interrupted"
    return Listed(folder.name, state, saved_step(folder / "checkpoints", folder.name), run)


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
