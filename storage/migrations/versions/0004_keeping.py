"""Spaces have admins: rules, limits, a queue that can be held, blocked people, a count of refusals."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = sa.text("up IS NOT NULL")


def upgrade() -> None:
    """Only additions: no row is rewritten."""
    _jobs()
    op.create_table(
        "keeping",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("rules", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("limits", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        _space("keeping"),
        sa.PrimaryKeyConstraint("space_id", name=op.f("pk_keeping")),
    )
    op.create_table(
        "standings",
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("blocked_at", sa.Double(), nullable=True),
        sa.Column("limits", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("day", sa.Double(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("trainings", sa.Integer(), nullable=False),
        _space("standings"),
        sa.PrimaryKeyConstraint("space_id", "key", name=op.f("pk_standings")),
    )
    op.create_table(
        "refusals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=True),
        sa.Column("why", sa.String(), nullable=False),
        _space("refusals"),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_refusals_person_id_people"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
    )
    op.create_index("ix_refusals_space", "refusals", ["space_id", "at"])
    op.create_index("ix_audit_space", "audit", ["space_id", "id"])


def _jobs() -> None:
    op.add_column("jobs", sa.Column("expected", sa.Double(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("counted_at", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("up", sa.Double(), nullable=True))
    op.create_index("ix_jobs_counted", "jobs", ["space_id", "counted_at"])
    op.create_index("ix_jobs_up", "jobs", ["space_id", "up"], sqlite_where=UP, postgresql_where=UP)


def _space(table: str) -> sa.ForeignKeyConstraint:
    """Its rows go with their space."""
    return sa.ForeignKeyConstraint(
        ["space_id"], ["spaces.id"], name=op.f(f"fk_{table}_space_id_spaces"), ondelete="CASCADE"
    )
