"""The tables of the job store. A change here needs a migration; a test compares the two."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """An aware UTC time, stored as microseconds since 1970. A value that is not such a number is read as None."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        try:
            return None if value is None else EPOCH + timedelta(microseconds=value)
        except (TypeError, OverflowError):  # a damaged row; raised here, it would break every row of the query
            return None


metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(63), nullable=False, unique=True),
    Column("request", String(128), unique=True),
    Column("fingerprint", String(64), nullable=False),
    Column("spec", Text, nullable=False),
    Column("created", Instant, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("started", Instant),
    Column("ended", Instant),
    Column("run", Integer, nullable=False),
    Column("report", BigInteger, nullable=False),
    Column("attachment", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("progress", Text),
    Column("last_epoch", Text),
    Column("top_step", BigInteger, nullable=False),
    Column("checkpoint_step", BigInteger, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("advanced", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scaled", Integer, nullable=False, server_default="0"),
    Column("pausing", Integer, nullable=False, server_default="0"),
    # parts of the specification, for lists
    Column("display_name", String(128), nullable=False, server_default=""),
    Column("dataset", Text, nullable=False, server_default=""),
    Column("workers_min", Integer, nullable=False, server_default="0"),
    Column("workers_max", Integer, nullable=False, server_default="0"),
    Column("failed_checkpoints", Integer, nullable=False, server_default="0"),
    Column("damaged_checkpoints", Integer, nullable=False, server_default="0"),
    Column("checkpoint_problem", Text, nullable=False, server_default=""),
    Column("updates", Text, nullable=False, server_default=""),
    Column("validation", Text, nullable=False, server_default=""),  # all further files, see `spec_row`
    Index("jobs_by_state", "state", "number"),
    sqlite_autoincrement=True,  # a number is never reused, not even after a deletion
)

labels = Table(
    "labels",
    metadata,
    Column("job", String(63), ForeignKey("jobs.id"), primary_key=True),
    Column("key", String(63), primary_key=True),
    Column("value", String(255), nullable=False),
    Index("labels_by_value", "key", "value", "job"),
)

events = Table(
    "events",
    metadata,
    Column("job", String(63), ForeignKey("jobs.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("time", Instant, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("payload", Text, nullable=False),
)

metrics = Table(
    "metrics",
    metadata,
    Column("job", String(63), ForeignKey("jobs.id"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("split", String(32), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("step", BigInteger, nullable=False),
    Column("value", Float(53), nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("name", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created", Instant, nullable=False),
    sqlite_autoincrement=True,
)

removals = Table(
    "removals",
    metadata,
    Column("name", String(255), primary_key=True),  # below the state directory, `jobs/{id}`
)
