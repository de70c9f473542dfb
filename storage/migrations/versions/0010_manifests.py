"""A training of many pictures has their names and captions in a file."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only an addition: earlier trainings have all in their requests."""
    op.add_column("trainings", sa.Column("manifest", sa.String(), nullable=True))
    op.create_index("ix_trainings_manifest", "trainings", ["manifest"])
