"""Approved and retired LoRAs, limits of weights, LoRAs of every picture, and trainings that are to end."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only additions: no row is rewritten."""
    op.add_column(
        "adapters", sa.Column("standing", sa.String(), nullable=False, server_default=sa.text("''"))
    )
    op.add_column("adapters", sa.Column("reason", sa.String(), nullable=False, server_default=sa.text("''")))
    op.add_column("adapters", sa.Column("least", sa.Double(), nullable=True))
    op.add_column("adapters", sa.Column("most", sa.Double(), nullable=True))
    op.add_column("adapters", sa.Column("usual", sa.Double(), nullable=True))
    op.add_column(
        "trainings", sa.Column("finishing", sa.Boolean(), nullable=False, server_default=sa.false())
    )
