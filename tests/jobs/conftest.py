"""A job store in a temporary directory, on every kind of database."""

import itertools
import threading
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from raydient.server.jobs.database import Database
from raydient.server.jobs.datasets import DatasetStore
from raydient.server.jobs.disk import Reserve
from raydient.server.jobs.dispatcher import Dispatcher
from raydient.server.jobs.records import Job
from raydient.server.jobs.sqlite import SQLite
from raydient.server.jobs.store import JobStore
from raydient.server.training.runs import RunRequest

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
DIALECTS = {"sqlite": lambda folder: SQLite(folder / "raydient.db")}
"""Every kind of database: opens the one in a folder. All tests that use `database` or `store` run on each."""


@pytest.fixture
def now():
    return NOW


@pytest.fixture(params=DIALECTS)
def reopen(request, tmp_path):
    """Returns a function that opens the test's database; again after it was closed, as the next server does."""
    with ExitStack() as stack:

        def reopen(**options):
            database = Database(DIALECTS[request.param](tmp_path), **options)
            stack.callback(database.close)
            return database

        yield reopen


@pytest.fixture
def database(reopen):
    return reopen()


@pytest.fixture
def folder(tmp_path):
    """The folder of a store of datasets."""
    folder = tmp_path / "datasets"
    folder.mkdir()
    return folder


@pytest.fixture
def datasets(database, folder, now):
    """A store of datasets without a limit."""
    return DatasetStore(database, folder, lambda: now, Reserve(0))


@pytest.fixture
def changes():
    """All changes that the store published."""
    return []


@pytest.fixture
def store(database, changes):
    return JobStore(database, changes.append, clock=lambda: NOW)


@pytest.fixture
def make_job(make_spec):
    """Returns a function that builds a job from parts of its specification, `request` and `fingerprint`."""
    numbers = itertools.count(1)

    def make(request="", fingerprint="f", **parts):
        return Job(f"job{next(numbers)}", make_spec(**parts), NOW, request, fingerprint)

    return make


@pytest.fixture
def waiter(database, now):
    """A store with `reaches`, which waits until a job is in a state."""

    class Waiter(JobStore):
        def __init__(self):
            self.changed = threading.Condition()
            super().__init__(database, self.announce, clock=lambda: now)

        def announce(self, change):
            with self.changed:
                self.changed.notify_all()

        def reaches(self, job, state):
            with self.changed:
                assert self.changed.wait_for(lambda: self.get(job.id).state is state, 20), self.get(job.id)
            return self.get(job.id)

    return Waiter()


@pytest.fixture
def runner(fake_runner):
    return fake_runner()


@pytest.fixture
def make_dispatcher(waiter, runner, tmp_path, now):
    made = []

    def make(runner=runner, dataset=None, **options):
        def request(job, workers):
            return RunRequest(
                job=job.id,
                workers=workers,
                minimum=job.workers.min,
                spec=job.spec,
                dataset=dataset(job) if dataset else tmp_path / "a.csv",
                directory=tmp_path / job.id,
                epochs=job.epochs,
            )

        made.append(Dispatcher(waiter, runner, request, clock=lambda: now, **options))
        made[-1].recover()
        return made[-1]

    yield make
    for dispatcher in made:
        dispatcher.close(20)


@pytest.fixture
def submit(waiter, make_job):
    def submit(dispatcher, **parts):
        job = waiter.add(make_job(**parts))
        dispatcher.submit(job)
        return job

    return submit


@pytest.fixture
def slow_runner(fake_runner):
    """A cluster that starts a run when `go` is set; `starting` is set when the start is requested."""

    class Slow(fake_runner):
        starting, go = threading.Event(), threading.Event()

        def start(self, request, listener):
            self.starting.set()
            self.go.wait()
            return super().start(request, listener)

    return Slow()
