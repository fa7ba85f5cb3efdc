"""Jobs whose specification was updated."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0004."""
    op.add_column("jobs", sa.Column("updates", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Back to 0004."""
    op.drop_column("jobs", "updates")
