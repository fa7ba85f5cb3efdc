"""A job store in a temporary directory, on every kind of database."""

import itertools
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from raydient.server.jobs.database import Database
from raydient.server.jobs.records import Job
from raydient.server.jobs.sqlite import SQLite
from raydient.server.jobs.store import JobStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
DIALECTS = {"sqlite": lambda folder: SQLite(folder / "raydient.db")}
"""Every kind of database: opens the one in a folder. All tests that use `database` or `store` run on each."""


@pytest.fixture
def now():
    return NOW


@pytest.fixture(params=DIALECTS)
def reopen(request, tmp_path):
    """Opens the test's database, again if it was closed, as the next server does."""
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
def changes():
    """All changes that the store published."""
    return []


@pytest.fixture
def store(database, changes):
    return JobStore(database, changes.append, clock=lambda: NOW)


@pytest.fixture
def make_job(make_spec):
    """Builds jobs that are not stored yet; keywords of the specification, or `request` and `fingerprint`."""
    numbers = itertools.count(1)

    def make(request="", fingerprint="f", **parts):
        return Job(f"job{next(numbers)}", make_spec(**parts), NOW, request, fingerprint)

    return make
