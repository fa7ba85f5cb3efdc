"""The SQLite file: durable, private, one sentence where it cannot be used."""

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from raydient.server.errors import Exhausted, StartError, Unavailable
from raydient.server.jobs import database as database_module
from raydient.server.jobs.database import Database
from raydient.server.jobs.migrations import HEAD
from raydient.server.jobs.schema import metadata
from raydient.server.jobs.store import JobStore


def test_the_files_are_for_the_owner_alone(tmp_path, store, make_job):
    store.add(make_job())
    files = list(tmp_path.iterdir())
    assert {file.name for file in files} >= {"raydient.db", "raydient.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_commit_is_on_the_disk_before_it_is_answered(database):
    def settings(connection):
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in pragmas]

    assert database.write(settings) == ["wal", 2, 1]


def test_reading_cannot_write(database):
    with pytest.raises(Unavailable):
        database.read(lambda connection: connection.exec_driver_sql("DELETE FROM jobs"))


def test_the_steps_lead_to_the_tables(database):
    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert database.write(differences) == []


def test_the_newest_step_is_the_one_known_as_such():
    config = Config()
    config.set_main_option("script_location", "raydient.server.jobs:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_full_disk_is_told_and_nothing_is_lost(database, store, make_job):
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


def test_a_full_queue_of_writes_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(database_module, "QUEUED_WRITES", 1)
    monkeypatch.setattr(database_module, "PATIENCE_SECONDS", 0.01)
    database = Database(tmp_path / "slow.db")
    busy, go = threading.Event(), threading.Event()

    def block(connection):
        busy.set()
        go.wait()

    threads = [threading.Thread(target=database.write, args=(block,))]
    threads[0].start()
    busy.wait()
    database._writes.put(database_module._Write(lambda c: None, lambda _: None, database_module.Future()))
    with pytest.raises(Unavailable, match="too many"):
        database.write(lambda connection: None)
    go.set()
    threads[0].join()
    database.close()


def test_a_path_that_cannot_be_a_database_is_told_in_one_line(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "absent" / "raydient.db"):
        with pytest.raises(StartError, match="cannot be opened for writing") as caught:
            Database(path)
        assert "\n" not in str(caught.value)


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "raydient.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StartError, match="another version of raydient"):
        Database(path)


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
def test_a_damaged_database_is_told_in_one_sentence_with_the_way_out(tmp_path, make_job, damage):
    path = tmp_path / "raydient.db"
    database = Database(path)
    for _ in range(50):
        JobStore(database).add(make_job(labels={"a": "b"}))
    database.close()
    DAMAGES[damage](path)
    damaged = path.read_bytes()
    with pytest.raises(StartError) as caught:
        Database(path)
    text = str(caught.value)
    assert text.startswith(f"the database {path} is damaged (")
    assert text.endswith(f"move it aside and run `raydient rebuild --state {tmp_path}`")
    assert "\n" not in text
    assert path.read_bytes() == damaged


def migrate(path, revision):
    """Make a database as the version with this newest step left it."""
    engine = sa.create_engine(f"sqlite:///{path}")
    config = Config()
    folder = Path(database_module.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
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


def test_a_database_of_an_earlier_version_becomes_one_of_this(tmp_path, make_spec):
    path, spec = tmp_path / "raydient.db", make_spec(display_name="digits", resources={"workers": 3})
    migrate(path, "0002")
    with sqlite3.connect(path) as connection:
        connection.execute(OLD_JOB, ("whole", spec.model_dump_json(exclude_none=True)))
        connection.execute(OLD_JOB, ("damaged", '{"dataset":'))
    connection.close()
    database = Database(path)
    assert JobStore(database).get("whole").spec == spec
    columns = "id, display_name, dataset, workers_min, workers_max"
    rows = database.read(lambda c: c.exec_driver_sql(f"SELECT {columns} FROM jobs ORDER BY number").all())
    assert [tuple(row) for row in rows] == [
        ("whole", "digits", "datasets/none", 3, 3),
        ("damaged", "", "", 0, 0),
    ]
    assert database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM removals").scalar()) == 0
    database.close()
