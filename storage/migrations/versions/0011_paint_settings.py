"""A LoRA keeps the paint settings that suit it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only an addition: LoRAs of before have none."""
    op.add_column("adapters", sa.Column("paint", sa.String(), server_default=sa.text("''"), nullable=False))
