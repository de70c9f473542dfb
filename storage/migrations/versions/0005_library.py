"""LoRAs come from outside and from each other, and what they paint is compared with what was before."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only additions: no row is rewritten."""
    op.add_column("adapters", sa.Column("sheet", sa.String(), nullable=True))
    op.create_index("ix_adapters_sheet", "adapters", ["sheet"])
    op.create_table(
        "comparisons",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("scores", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_number"], ["jobs.number"], name=op.f("fk_comparisons_job_number_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_number", name=op.f("pk_comparisons")),
    )
    op.create_index("ix_comparisons_sha256", "comparisons", ["sha256"])
