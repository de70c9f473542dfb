"""What was painted before is found again by its recipe."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only an addition: jobs of before have no key, and are painted again."""
    op.add_column("jobs", sa.Column("recipe", sa.String(), nullable=True))
    op.create_index(
        "ix_jobs_recipe",
        "jobs",
        ["recipe"],
        sqlite_where=sa.text("recipe IS NOT NULL"),
        postgresql_where=sa.text("recipe IS NOT NULL"),
    )
