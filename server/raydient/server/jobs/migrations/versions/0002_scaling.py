"""Jobs that are scaled and paused."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0001."""
    for name in ("scaled", "pausing"):
        op.add_column("jobs", sa.Column(name, sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """Back to 0001."""
    for name in ("pausing", "scaled"):
        op.drop_column("jobs", name)
