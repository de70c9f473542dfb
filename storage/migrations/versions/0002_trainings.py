"""Trainings, what they learn from and what they make; LoRAs belong to people."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables that are there, then make the new ones."""
    _jobs()
    _adapters()
    _trainings()
    _examples()
    _checkpoints()
    _samples()
    _uploads()


def _jobs() -> None:
    op.drop_index("ix_jobs_queued", "jobs")
    op.add_column("jobs", sa.Column("kind", sa.String(), server_default="paint", nullable=False))
    op.create_index(
        "ix_jobs_queued",
        "jobs",
        ["person_id", "kind", "number"],
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_trainings",
        "jobs",
        ["person_id", "number"],
        sqlite_where=sa.text("kind = 'train'"),
        postgresql_where=sa.text("kind = 'train'"),
    )


def _adapters() -> None:
    with op.batch_alter_table("adapters") as adapters:
        adapters.drop_constraint(op.f("uq_adapters_sha256_name"), type_="unique")
        adapters.add_column(sa.Column("job_number", sa.Integer(), nullable=True))
        for name in ("trigger", "phrase", "preset"):
            adapters.add_column(sa.Column(name, sa.String(), server_default=sa.text("''"), nullable=False))
        adapters.add_column(sa.Column("hint", sa.Double(), server_default="1", nullable=False))
        adapters.add_column(sa.Column("access", sa.String(), server_default="everybody", nullable=False))
        adapters.add_column(sa.Column("thumbnail", sa.String(), nullable=True))
        adapters.add_column(sa.Column("tokens", sa.Integer(), server_default="0", nullable=False))
        adapters.add_column(sa.Column("uses", sa.Integer(), server_default="0", nullable=False))
        adapters.add_column(sa.Column("info", sa.JSON(none_as_null=True), nullable=True))
        adapters.add_column(sa.Column("deleted_at", sa.Double(), nullable=True))
        adapters.create_foreign_key(
            op.f("fk_adapters_job_number_jobs"), "jobs", ["job_number"], ["number"], ondelete="SET NULL"
        )
    op.create_index("ix_adapters_sha256", "adapters", ["sha256"])
    op.create_index("ix_adapters_thumbnail", "adapters", ["thumbnail"])
    op.create_index(
        "ix_adapters_living",
        "adapters",
        ["space_id", "name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _trainings() -> None:
    op.create_table(
        "trainings",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("report", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("sheet", sa.String(), nullable=True),
        sa.Column("curve", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state_sha256", sa.String(), nullable=True),
        sa.Column("best", sa.Integer(), nullable=True),
        sa.Column("chosen", sa.Integer(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("adapter_id", sa.Integer(), nullable=True),
        sa.Column("consent_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["adapter_id"],
            ["adapters.id"],
            name=op.f("fk_trainings_adapter_id_adapters"),
            ondelete="SET NULL",
        ),
        _job("trainings"),
        sa.PrimaryKeyConstraint("job_number", name=op.f("pk_trainings")),
    )
    op.create_index("ix_trainings_sheet", "trainings", ["sheet"])
    op.create_index("ix_trainings_state", "trainings", ["state_sha256"])


def _examples() -> None:
    op.create_table(
        "examples",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        _job("examples"),
        sa.PrimaryKeyConstraint("job_number", "place", name=op.f("pk_examples")),
    )
    op.create_index("ix_examples_sha256", "examples", ["sha256"])


def _checkpoints() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("validation", sa.Double(), nullable=True),
        sa.Column("candidate", sa.Boolean(), nullable=False),
        _job("checkpoints"),
        sa.PrimaryKeyConstraint("job_number", "step", name=op.f("pk_checkpoints")),
    )
    op.create_index("ix_checkpoints_sha256", "checkpoints", ["sha256"])


def _samples() -> None:
    op.create_table(
        "samples",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        _job("samples"),
        sa.PrimaryKeyConstraint("job_number", "step", "place", name=op.f("pk_samples")),
    )
    op.create_index("ix_samples_sha256", "samples", ["sha256"])


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_uploads_person_id_people"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        sa.UniqueConstraint("person_id", "sha256", name=op.f("uq_uploads_person_id_sha256")),
    )
    op.create_index("ix_uploads_sha256", "uploads", ["sha256"])


def _job(table: str) -> sa.ForeignKeyConstraint:
    """Its rows go with their job's."""
    return sa.ForeignKeyConstraint(
        ["job_number"], ["jobs.number"], name=op.f(f"fk_{table}_job_number_jobs"), ondelete="CASCADE"
    )
