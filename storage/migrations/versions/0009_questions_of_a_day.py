"""Indexes for what is asked often, and which LoRAs are in use and liked: nothing looks at every job."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OPEN_TRAININGS = sa.text("kind = 'train' AND state IN ('draft', 'queued', 'running')")
OF_SPACES = sa.text("deleted_at IS NULL AND space_id IS NOT NULL")

# A comparison has LoRAs of its own in each of its variants.
LORAS_OF_JOBS = """
INSERT INTO job_loras (job_number, sha256)
SELECT DISTINCT jobs.number, part.value
FROM jobs, json_tree(CASE WHEN json_valid(jobs.request) THEN jobs.request END) AS part
WHERE jobs.state IN ('queued', 'running') AND jobs.kind = 'paint' AND part.key = 'sha256'
AND part.type = 'text'
"""
VOTES_FOR_LORAS = """
INSERT INTO lora_votes (picture_id, person_id, emoji, sha256, space_id)
SELECT DISTINCT votes.picture_id, votes.person_id, votes.emoji, json_extract(used.value, '$.sha256'),
    jobs.space_id
FROM votes
JOIN pictures ON pictures.id = votes.picture_id
JOIN jobs ON jobs.number = pictures.job_number,
json_each(CASE WHEN json_valid(jobs.request) THEN jobs.request END, '$.adapters') AS used
WHERE votes.emoji = '⭐' AND json_extract(used.value, '$.sha256') IS NOT NULL
"""


def upgrade() -> None:
    """Only additions: no row is rewritten."""
    _make_tables()
    op.execute(LORAS_OF_JOBS)
    op.execute(VOTES_FOR_LORAS)
    used = ["space_id", "counted_at", "person_id", "kind", "state", "charged", "expected"]
    filed = ["space_id", "created_at", "person_id", "kind", "state", "charged"]
    shared = ["access", "standing", "name"]
    _replace("ix_jobs_person", ["person_id", "number", "space_id"])
    _replace("ix_jobs_counted", used)
    op.create_index("ix_jobs_filed", "jobs", filed)
    # Where several indexes begin with what is asked, SQLite takes the one that was made last: those of few.
    _replace("ix_jobs_trainings", ["person_id", "number"], sa.text("kind = 'train'"))
    op.create_index("ix_jobs_open_trainings", "jobs", ["space_id"], sqlite_where=OPEN_TRAININGS)
    _replace("ix_jobs_queued", ["person_id", "kind", "number"], sa.text("state = 'queued'"))
    _replace("ix_jobs_running", ["person_id", "number"], sa.text("state = 'running'"))
    op.create_index("ix_adapters_shared", "adapters", shared, sqlite_where=OF_SPACES)


def _replace(name: str, columns: list[str], where: sa.TextClause | None = None) -> None:
    op.drop_index(name, "jobs")
    op.create_index(name, "jobs", columns, sqlite_where=where)


def _make_tables() -> None:
    op.create_table(
        "job_loras",
        sa.Column("job_number", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_number"], ["jobs.number"], name=op.f("fk_job_loras_job_number_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_number", "sha256", name=op.f("pk_job_loras")),
    )
    op.create_index("ix_job_loras_sha256", "job_loras", ["sha256"])
    op.create_table(
        "lora_votes",
        sa.Column("picture_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("emoji", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("space_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["picture_id", "person_id", "emoji"],
            ["votes.picture_id", "votes.person_id", "votes.emoji"],
            name=op.f("fk_lora_votes_picture_id_votes"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("picture_id", "person_id", "emoji", "sha256", name=op.f("pk_lora_votes")),
    )
    op.create_index("ix_lora_votes_space", "lora_votes", ["space_id", "sha256", "person_id"])
