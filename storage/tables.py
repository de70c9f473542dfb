"""The tables. Times are seconds since 1970 (UTC) as floats."""

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

STATES = ("queued", "running", "succeeded", "failed", "cancelled")
WAITING = text("state = 'queued'")


class Table(DeclarativeBase):
    """What all tables share: constraints are named, so that migrations can change them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {dict[str, Any]: JSON(none_as_null=True)}


class Space(Table):
    """A channel of the local chat, a Discord guild, a Slack workspace; others know nothing of it."""

    __tablename__ = "spaces"
    __table_args__ = (UniqueConstraint("chat", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    chat: Mapped[str]  # "local", "discord", "slack"
    key: Mapped[str]  # how the chat calls it
    name: Mapped[str]


class Person(Table):
    """Somebody in one chat system. `settings` are their defaults for /imagine, as they wrote them."""

    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("chat", "key"),
        # The next job's person is the first here: see storage/jobs.py.
        Index(
            "ix_people_next",
            "used",
            "id",
            sqlite_where=text("queued > 0"),
            postgresql_where=text("queued > 0"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    chat: Mapped[str]
    key: Mapped[str]
    name: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    used: Mapped[float] = mapped_column(default=0.0)  # engine time used of late: storage/fairness.py
    queued: Mapped[int] = mapped_column(default=0)  # how many of their jobs are queued


class Adapter(Table):
    """A LoRA that was used or made here; the file lies in the store. Without a space it is everybody's."""

    __tablename__ = "adapters"
    __table_args__ = (UniqueConstraint("sha256", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    name: Mapped[str]
    sha256: Mapped[str]
    created_at: Mapped[float]


class Job(Table):
    """One request of one person and all that became of it. Its message in the chat is a view of this row."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_queued", "person_id", "number", sqlite_where=WAITING, postgresql_where=WAITING),
        Index(
            "ix_jobs_running",
            "person_id",
            "number",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index(
            "ix_jobs_unshown",
            "number",
            sqlite_where=text("shown < revision"),
            postgresql_where=text("shown < revision"),
        ),
        Index("ix_jobs_space", "space_id", "channel", "number"),
        Index("ix_jobs_person", "person_id", "number"),
    )

    number: Mapped[int] = mapped_column(primary_key=True)  # the order of filing
    id: Mapped[str] = mapped_column(unique=True)  # what people see, such as k3f9qa
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    channel: Mapped[str]  # where the card is, as the chat calls it
    message: Mapped[str | None]  # the card's message, as the chat calls it; none before it was shown
    parent: Mapped[str | None]  # the id of the job that this one was made from
    request: Mapped[dict[str, Any]]  # engine.messages.Paint as JSON: storage/requests.py
    state: Mapped[str] = mapped_column(default="queued")
    reason: Mapped[str | None]  # why it failed, one sentence
    deaths: Mapped[int] = mapped_column(default=0)  # engines that died while this job was alone in the step
    suspect: Mapped[bool] = mapped_column(
        default=False
    )  # an engine died while it was in the step with others
    lease_until: Mapped[float | None]
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    charged: Mapped[float] = mapped_column(default=0.0)  # engine seconds on the person's account so far
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    deleted_at: Mapped[float | None]  # its person deleted it: no pictures, no words, no card
    revision: Mapped[int] = mapped_column(default=1)  # grows with every change that the card must show
    shown: Mapped[int] = mapped_column(default=0)  # the revision that the chat is known to show
    moved: Mapped[int] = mapped_column(default=0)  # the revision at which its card went to a new message


class Picture(Table):
    """A finished picture of a job; the PNG lies in the store."""

    __tablename__ = "pictures"
    __table_args__ = (UniqueConstraint("job_number", "place"), Index("ix_pictures_sha256", "sha256"))

    id: Mapped[int] = mapped_column(primary_key=True)
    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"))
    place: Mapped[int]  # 1 to 4
    sha256: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)  # up to 2^63 - 1
    width: Mapped[int]
    height: Mapped[int]


class Vote(Table):
    """Somebody's reaction to a picture; a star keeps it among their favourites."""

    __tablename__ = "votes"
    __table_args__ = (Index("ix_votes_person", "person_id", "picture_id"),)

    picture_id: Mapped[int] = mapped_column(ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    emoji: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[float]


class Audit(Table):
    """What somebody changed that was not theirs alone to change."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id", ondelete="SET NULL"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    action: Mapped[str]
    subject: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
