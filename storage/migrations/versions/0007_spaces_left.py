"""A space that the bot was removed from while it was off is known by not being named any more."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only additions: no row is rewritten."""
    op.add_column("spaces", sa.Column("joined", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("spaces", sa.Column("away_at", sa.Double(), nullable=True))
