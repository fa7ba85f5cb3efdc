"""Rebuilds a lost database from the folders of jobs and datasets.

A job is restored with its specification, creation time, request id and labels (from `job.json`) and its curve (from its
record of epochs). If its folder holds a model, it is SUCCEEDED. Any other job is PAUSED, because its files do not say
whether it was running, had failed or was cancelled, and a paused job does not start by itself. Its owner resumes it
from its checkpoint, or cancels it. Events, scaling, and jobs without a folder are lost.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from raydient.files import sync_folder
from raydient.server.errors import DataLoss, StartError
from raydient.server.training.checkpoint_files import saved_step
from raydient.server.training.history import HISTORY_FILE, read_history
from raydient.server.training.initial_weights import MODEL_FILE
from raydient.server.training.reports import EpochEnded
from raydient.workers.network import ModelError, load_model

from .database import Database
from .datasets import DatasetStore
from .description import Description, UnreadableDescription, read_description
from .directory import StateDirectory, entries
from .headers import is_stored
from .records import Job
from .sources import STORED
from .sqlite import SQLite, emptiness, files_of
from .states import State
from .store import JobStore

REASON = "REBUILT"


@dataclass(slots=True)
class Rebuilt:
    """The result of a rebuild.

    Attributes:
        jobs: the restored jobs, oldest first.
        datasets: ids of the restored datasets.
        problems: files that were not used; one sentence each, with the path.
    """

    jobs: list[Job] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def rebuild(path: Path) -> Rebuilt:
    """Rebuild the database of a state directory. No file of a job or dataset is changed or removed.

    The database appears complete or not at all. Raises StartError if a service holds the directory, its database is not
    empty, or there is nothing to rebuild it from.
    """
    if not path.is_dir():
        raise StartError(f"there is no state directory {path}")
    directory = StateDirectory(path)
    try:
        if not emptiness(directory.database):
            raise StartError(
                f"the database {directory.database} is not empty, and a rebuild would lose its content; if it is "
                "damaged and there is no backup, move it aside first"
            )
        if not directory.contents:
            raise StartError(f"the state directory {directory.path} holds neither jobs nor datasets")
        return _rebuild(directory)
    finally:
        directory.close()


def _rebuild(directory: StateDirectory) -> Rebuilt:
    partial = directory.database.with_suffix(".rebuilding")
    for leftover in files_of(partial):
        leftover.unlink(missing_ok=True)
    rebuilt = Rebuilt()
    database = Database(SQLite(partial))
    try:
        descriptions = list(_descriptions(directory, rebuilt))
        _add_datasets(directory, database, descriptions, rebuilt)
        _add_jobs(directory, JobStore(database), descriptions, rebuilt)
    finally:
        database.close()
    for old in files_of(directory.database)[1:]:  # a leftover write-ahead log must not be applied to the new database
        if old.exists():
            old.rename(old.with_name(f"{old.name}.old"))
    os.replace(partial, directory.database)
    sync_folder(directory.path)
    return rebuilt


def _descriptions(directory: StateDirectory, rebuilt: Rebuilt) -> Iterator[Description]:
    for folder in entries(directory.jobs):
        try:
            yield read_description(folder)
        except UnreadableDescription as error:
            rebuilt.problems.append(f"{folder} is left alone: {error}")


def _add_datasets(
    directory: StateDirectory, database: Database, descriptions: list[Description], rebuilt: Rebuilt
) -> None:
    datasets = DatasetStore(database, directory.datasets)
    names = {uri: name for each in descriptions for uri, name in each.file_names.items()}
    for file in entries(directory.datasets):
        if not file.is_file() or not is_stored(file.name):
            rebuilt.problems.append(f"{file} is left alone: it is not a file of a dataset")
            continue
        try:
            name = names.get(f"{STORED}{file.name.partition('.')[0]}", file.name)
            rebuilt.datasets.append(datasets.adopt(file, name).id)
        except DataLoss as error:
            rebuilt.problems.append(f"{file} is left alone: {error}")
        except OSError as error:
            rebuilt.problems.append(f"{file} is left alone: it cannot be read: {error.strerror}")


def _add_jobs(directory: StateDirectory, store: JobStore, descriptions: list[Description], rebuilt: Rebuilt) -> None:
    for description in sorted(descriptions, key=lambda description: description.job.created):
        folder = directory.job(description.job.id)
        step, epochs = saved_step(folder / "checkpoints", folder.name), _epochs(folder, rebuilt)
        job = replace(
            description.job,
            state=State.PAUSED,
            reason=REASON,
            message=f"its database was lost; `resume` goes on from step {step}" if step else "its database was lost",
            top_step=step,
            checkpoint_step=step,
            last_epoch=epochs[-1] if epochs else None,
        )
        model = folder / MODEL_FILE
        try:
            if model.exists():
                job = _succeeded(job, model)
        except (ModelError, OSError) as error:
            rebuilt.problems.append(f"{model} cannot be used, the job is PAUSED instead of SUCCEEDED: {error}")
        for uri in job.spec.dataset.uris.values():
            if uri.startswith(STORED) and uri.removeprefix(STORED) not in rebuilt.datasets:
                rebuilt.problems.append(f"{folder} trains on {uri}, which is missing")
        rebuilt.jobs.append(store.restore(job, epochs))


def _succeeded(job: Job, model: Path) -> Job:
    digest = load_model(model).digest
    ended = datetime.fromtimestamp(model.stat().st_mtime, UTC)
    return replace(job, state=State.SUCCEEDED, message="its database was lost", digest=digest, ended=ended)


def _epochs(folder: Path, rebuilt: Rebuilt) -> list[EpochEnded]:
    try:
        return list(read_history(folder / HISTORY_FILE))
    except OSError as error:
        rebuilt.problems.append(f"{folder / HISTORY_FILE} cannot be read, the curve is lost: {error.strerror}")
        return []
