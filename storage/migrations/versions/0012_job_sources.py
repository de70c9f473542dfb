"""Jobs start from pictures that people send."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only an addition: jobs of before start from words alone."""
    op.create_table(
        "job_sources",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_number"],
            ["jobs.number"],
            name="fk_job_sources_job_number_jobs",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_number", "sha256", name="pk_job_sources"),
    )
    for side in ("width", "height"):
        op.add_column("uploads", sa.Column(side, sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_index("ix_job_sources_sha256", "job_sources", ["sha256"])
