"""Everything that is stored below a state directory, opened together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raydient.server.training.runs import RunRequest

from .database import Database
from .datasets import DatasetStore
from .directory import StateDirectory
from .disk import Reserve
from .records import Change, Job
from .remote import RemoteData
from .removals import Removals
from .sources import Sources
from .sqlite import open_database
from .store import JobStore


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one service.

    Attributes:
        directory: the folders, held by a lock.
        database: the database of `jobs` and `datasets`.
        sources: finds the data files of a job.
        remote: copies remote data files of a job to `datasets`.
        removals: carries out recorded removals of files.
    """

    directory: StateDirectory
    database: Database
    jobs: JobStore
    datasets: DatasetStore
    sources: Sources
    remote: RemoteData
    removals: Removals

    @classmethod
    def open(
        cls,
        path: Path,
        publish: Callable[[Change], None],
        *,
        data_roots: Sequence[Path],
        reserve: Reserve,
        data_urls: Sequence[str] = (),
    ) -> "Stores":
        """Open the state directory at `path`, or create it. See `JobStore`, `Sources`, `RemoteData`, `DatasetStore`.

        Raises StartError.
        """
        directory = StateDirectory(path)
        try:
            database = open_database(directory)
        except BaseException:
            directory.close()
            raise
        datasets = DatasetStore(database, directory.datasets, reserve=reserve)
        return cls(
            directory=directory,
            database=database,
            jobs=JobStore(database, publish),
            datasets=datasets,
            sources=Sources(datasets, data_roots, directory.jobs),
            remote=RemoteData(datasets, data_urls),
            removals=Removals(database, directory.path),
        )

    def run_request(self, job: Job, workers: int) -> RunRequest:
        """Build the request for a run of a job with this number of workers. Raises ServiceError, InvalidSpec."""
        dataset, validation = self.sources.find_files(job.spec.dataset)
        return RunRequest(
            job=job.id,
            workers=workers,
            minimum=job.workers.min,
            spec=job.spec,
            dataset=dataset,
            directory=self.directory.job(job.id),
            epochs=job.epochs,
            amendments=job.amendments,
            validation=validation,
        )

    def close(self) -> None:
        """Carry out the waiting writes, then unlock the directory. Harmless when repeated."""
        self.database.close()
        self.directory.close()
