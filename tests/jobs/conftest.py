"""A job store in a temporary directory."""

import itertools
from datetime import UTC, datetime

import pytest

from raydient.server.jobs.database import Database
from raydient.server.jobs.records import Job
from raydient.server.jobs.store import JobStore

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "raydient.db")
    yield database
    database.close()


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
