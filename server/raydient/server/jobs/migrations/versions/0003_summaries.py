"""Removals that are decided and not carried out yet; columns for lists that do not read specifications."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, tuple[Any, str]] = {
    "display_name": (sa.String(128), ""),
    "dataset": (sa.Text(), ""),
    "workers_min": (sa.Integer(), "0"),
    "workers_max": (sa.Integer(), "0"),
}


def upgrade() -> None:
    """From 0002."""
    op.create_table("removals", sa.Column("name", sa.String(255), primary_key=True))
    for name, (kind, default) in _COLUMNS.items():
        op.add_column("jobs", sa.Column(name, kind, nullable=False, server_default=default))
    connection = op.get_bind()
    jobs = sa.table("jobs", sa.column("number"), sa.column("spec"), *(sa.column(name) for name in _COLUMNS))
    for number, spec in connection.execute(sa.select(jobs.c.number, jobs.c.spec)).all():
        try:
            summary = _summary(json.loads(spec))
        except (ValueError, KeyError, TypeError):  # a damaged row keeps the defaults
            continue
        connection.execute(sa.update(jobs).where(jobs.c.number == number).values(summary))


def downgrade() -> None:
    """Back to 0002."""
    for name in _COLUMNS:
        op.drop_column("jobs", name)
    op.drop_table("removals")


def _summary(spec: Any) -> dict[str, object]:
    workers = spec["resources"]["workers"]
    return {
        "display_name": str(spec.get("display_name", "")),
        "dataset": str(spec["dataset"]["uri"]),
        "workers_min": int(workers["min"]),
        "workers_max": int(workers["max"]),
    }
