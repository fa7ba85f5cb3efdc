"""The contract of every kind of database: transactions, migrations, a bounded queue of writes."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from raydient.server.errors import Unavailable
from raydient.server.jobs.migrations import HEAD
from raydient.server.jobs.schema import metadata


def test_a_read_cannot_write(database):
    with pytest.raises(Unavailable):
        database.read(lambda connection: connection.exec_driver_sql("DELETE FROM jobs"))


def test_the_migrations_produce_the_tables_of_the_schema(database):
    def differences(connection):
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert database.write(differences) == []


def test_HEAD_is_the_newest_migration():
    config = Config()
    config.set_main_option("script_location", "raydient.server.jobs:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_write_beyond_the_queue_is_refused(reopen):
    database = reopen(queued_writes=1, patience_seconds=0.01)
    busy, go, refused = threading.Event(), threading.Event(), threading.Semaphore(0)
    outcomes = []

    def block(connection):
        busy.set()
        go.wait()

    def write():
        try:
            outcomes.append(database.write(lambda connection: "written"))
        except Unavailable as error:
            outcomes.append(str(error))
            refused.release()

    threads = [threading.Thread(target=database.write, args=(block,))]
    threads[0].start()
    busy.wait()
    threads += [threading.Thread(target=write) for _ in range(2)]
    for thread in threads[1:]:
        thread.start()
    refused.acquire()
    go.set()
    for thread in threads:
        thread.join()
    assert outcomes == ["too many writes are waiting", "written"]
