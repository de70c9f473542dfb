"""Pictures are known again when they come back."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Only an addition: pictures of before are known by their files alone."""
    bands = [f"band{number}" for number in range(4)]
    op.create_table(
        "picture_marks",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=True),
        *(sa.Column(band, sa.Integer(), nullable=False) for band in bands),
        sa.Column("colours", sa.LargeBinary(), nullable=False),
        sa.Column("model", sa.String(), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_number"],
            ["jobs.number"],
            name="fk_picture_marks_job_number_jobs",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_number", "place", name="pk_picture_marks"),
    )
    for column in ("watermark", *bands):
        op.create_index(f"ix_picture_marks_{column}", "picture_marks", [column])
    op.add_column("uploads", sa.Column("origin", sa.JSON(none_as_null=True), nullable=True))
