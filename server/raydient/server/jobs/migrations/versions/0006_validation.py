"""Jobs whose held-out data have a file of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0005."""
    op.add_column("jobs", sa.Column("validation", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Back to 0005."""
    op.drop_column("jobs", "validation")
