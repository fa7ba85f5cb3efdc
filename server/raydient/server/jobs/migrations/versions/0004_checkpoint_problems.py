"""Jobs whose checkpoints could not be written or were found damaged."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From 0003."""
    for name in ("failed_checkpoints", "damaged_checkpoints"):
        op.add_column("jobs", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("checkpoint_problem", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Back to 0003."""
    for name in ("checkpoint_problem", "damaged_checkpoints", "failed_checkpoints"):
        op.drop_column("jobs", name)
