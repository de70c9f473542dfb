"""Jobs know whether their channel is for adults, or for their person alone; a message leads to its job."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only additions: no row is rewritten."""
    for name in ("adult", "private"):
        op.add_column("jobs", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_jobs_message", "jobs", ["message"])
