"""The steps by which a database of an earlier version becomes one of this version, for alembic."""

HEAD = "0006"
"""The newest step. Known here so that a start with a database that is up to date need not load alembic."""
