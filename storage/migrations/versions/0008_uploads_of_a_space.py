"""What somebody sends counts in the space that they send it from, and makes them known to its admins."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only an addition: what was sent before is of no space, and gone in a day."""
    op.add_column("uploads", sa.Column("space_id", sa.Integer(), nullable=True))
