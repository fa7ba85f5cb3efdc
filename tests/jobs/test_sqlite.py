"""The SQLite file is durable and private, and refused with one sentence if it cannot be used."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from raydient.server.errors import Exhausted, StartError
from raydient.server.jobs.database import Database
from raydient.server.jobs.sqlite import SQLite
from raydient.server.jobs.store import JobStore


def opened(path):
    return Database(SQLite(path))


def test_the_database_files_are_private_to_the_owner(tmp_path, store, make_job):
    store.add(make_job())
    files = list(tmp_path.iterdir())
    assert {file.name for file in files} >= {"raydient.db", "raydient.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_commit_is_durable_before_it_returns(database):
    def settings(connection):
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in pragmas]

    assert database.write(settings) == ["wal", 2, 1]


def test_a_full_disk_is_reported_and_nothing_is_lost(database, store, make_job):
    job = store.add(make_job())

    def limit(connection, pages):
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    database.write(lambda connection: limit(connection, 1))
    with pytest.raises(Exhausted) as caught:
        store.add(make_job(display_name="x" * 128, labels={str(n): "y" * 200 for n in range(64)}))
    assert caught.value.reason == "STORE_FULL"
    database.write(lambda connection: limit(connection, 100_000))
    assert store.page(9) == [job]
    store.add(make_job())


KILLED = """
import sys, itertools
from datetime import datetime, UTC
from pathlib import Path
from raydient.server.jobs.database import Database
from raydient.server.jobs.records import Job
from raydient.server.jobs.sqlite import SQLite
from raydient.server.jobs.store import JobStore
from raydient.spec.job import JobSpec
store, spec = JobStore(Database(SQLite(Path(sys.argv[1])))), JobSpec.model_validate_json(sys.argv[2])
for number in itertools.count():
    print(store.add(Job(f"job{number}", spec, datetime.now(UTC))).id, flush=True)
"""


def test_acknowledged_jobs_survive_a_kill(tmp_path, make_spec):
    path = tmp_path / "raydient.db"
    spec = make_spec().model_dump_json(exclude_none=True)
    process = subprocess.Popen([sys.executable, "-c", KILLED, path, spec], stdout=subprocess.PIPE, text=True)
    seen = [process.stdout.readline().strip() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    seen += process.stdout.read().split("\n")[:-1]
    process.wait()
    process.stdout.close()
    database = opened(path)
    assert JobStore(database).ids() >= set(seen)
    database.close()


def test_a_path_that_cannot_be_a_database_is_reported_in_one_line(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "absent" / "raydient.db"):
        with pytest.raises(StartError, match="cannot be opened for writing") as caught:
            opened(path)
        assert "\n" not in str(caught.value)


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "raydient.db"
    opened(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StartError, match="another version of raydient"):
        opened(path)


def overwrite(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def drop_table(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE metrics")
    connection.close()


DAMAGES = {
    "text": lambda path: path.write_text("no database, but long enough to be taken for one" * 100),
    "another header": lambda path: overwrite(path, 0, b"x" * 100),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "truncated within the first page": lambda path: os.truncate(path, 1000),
    "a page of zeros": lambda path: overwrite(path, 4096, bytes(4096)),
    "a page of noise": lambda path: overwrite(path, 3 * 4096, b"\xa7" * 4096),
    "no table": drop_table,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_reported_in_one_line_with_the_remedy(tmp_path, make_job, damage):
    path = tmp_path / "raydient.db"
    database = opened(path)
    for _ in range(50):
        JobStore(database).add(make_job(labels={"a": "b"}))
    database.close()
    DAMAGES[damage](path)
    damaged = path.read_bytes()
    with pytest.raises(StartError) as caught:
        opened(path)
    text = str(caught.value)
    assert text.startswith(f"the database {path} is damaged (")
    assert text.endswith(f"move it aside and run `raydient rebuild --state {tmp_path}`")
    assert "\n" not in text
    assert path.read_bytes() == damaged


def migrate(path, revision):
    """Make a database as the version with this newest step left it."""
    engine = sa.create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", "raydient.server.jobs:migrations")
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


OLD_JOB = """
INSERT INTO jobs (id, fingerprint, spec, created, state, reason, message, run, report, attachment, sequence, revision,
                  top_step, checkpoint_step, losses, advanced, digest)
VALUES (?, 'f', ?, 1000000, 'succeeded', '', '', 1, 0, '', 0, 1, 0, 0, 0, 0, '')
"""


def test_a_database_of_an_earlier_version_is_migrated(tmp_path, make_spec):
    path, spec = tmp_path / "raydient.db", make_spec(display_name="digits", resources={"workers": 3})
    migrate(path, "0002")
    with sqlite3.connect(path) as connection:
        connection.execute(OLD_JOB, ("whole", spec.model_dump_json(exclude_none=True)))
        connection.execute(OLD_JOB, ("damaged", '{"dataset":'))
    connection.close()
    database = opened(path)
    assert JobStore(database).get("whole").spec == spec
    columns = "id, display_name, dataset, workers_min, workers_max"
    rows = database.read(lambda c: c.exec_driver_sql(f"SELECT {columns} FROM jobs ORDER BY number").all())
    assert [tuple(row) for row in rows] == [
        ("whole", "digits", "datasets/none", 3, 3),
        ("damaged", "", "", 0, 0),
    ]
    assert database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM removals").scalar()) == 0
    database.close()
