"""The tables, as SQLAlchemy maps them.

Times are seconds since 1970 (UTC) as floats.
"""

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

STATES = ("draft", "queued", "running", "succeeded", "failed", "cancelled")
WAITING = text("state = 'queued'")
TRAININGS = text("kind = 'train'")
OPEN_TRAININGS = text("kind = 'train' AND state IN ('draft', 'queued', 'running')")
LIVING = text("deleted_at IS NULL")
OF_SPACES = text("deleted_at IS NULL AND space_id IS NOT NULL")


class Table(DeclarativeBase):
    """The base of all tables. Constraints are named so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        dict[str, Any]: JSON(none_as_null=True),
        list[float]: JSON(none_as_null=True),
    }


class Space(Table):
    """A channel of the web chat, a Discord guild, a Slack workspace; others know nothing of it."""

    __tablename__ = "spaces"
    __table_args__ = (UniqueConstraint("chat", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    chat: Mapped[str]  # "local", "discord", "slack"
    key: Mapped[str]  # how the chat calls it
    name: Mapped[str]
    joined: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # the bot is known as a member
    away_at: Mapped[float | None]  # since when the chat has not named it any more: storage/spaces.py


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
    queued: Mapped[int] = mapped_column(default=0)  # how many of their pictures' jobs are queued


class Adapter(Table):
    """A LoRA that was used or made here; the file lies in the store.

    One that was trained here belongs to a space and a person, and `access` says who may use it: "me" and
    "space" are about its space, "everybody" is wherever the bot is. One without a space was only used here.
    """

    __tablename__ = "adapters"
    __table_args__ = (
        Index(
            "ix_adapters_living",
            "space_id",
            "name",
            unique=True,
            sqlite_where=LIVING,
            postgresql_where=LIVING,
        ),
        Index(
            "ix_adapters_shared",
            "access",
            "standing",
            "name",
            sqlite_where=OF_SPACES,
            postgresql_where=OF_SPACES,
        ),
        Index("ix_adapters_sha256", "sha256"),
        Index("ix_adapters_thumbnail", "thumbnail"),
        Index("ix_adapters_sheet", "sheet"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    job_number: Mapped[int | None] = mapped_column(ForeignKey("jobs.number", ondelete="SET NULL"))
    name: Mapped[str]
    sha256: Mapped[str]
    trigger: Mapped[str] = mapped_column(default="", server_default=text("''"))
    phrase: Mapped[str] = mapped_column(default="", server_default=text("''"))  # "ohwx woman"
    preset: Mapped[str] = mapped_column(default="", server_default=text("''"))
    hint: Mapped[float] = mapped_column(default=1.0, server_default="1")  # the weight that suits it
    access: Mapped[str] = mapped_column(default="everybody", server_default="everybody")
    thumbnail: Mapped[str | None]  # a PNG in the store
    sheet: Mapped[str | None]  # and what a merge paints beside the mix that it replaces
    tokens: Mapped[int] = mapped_column(default=0, server_default="0")  # new ones, bundled in the file
    uses: Mapped[int] = mapped_column(default=0, server_default="0")  # jobs that use it
    info: Mapped[dict[str, Any] | None]  # how it was made: storage/trainings.py
    standing: Mapped[str] = mapped_column(default="", server_default=text("''"))  # storage/lora_approval.py
    reason: Mapped[str] = mapped_column(default="", server_default=text("''"))  # why an admin refused it
    least: Mapped[float | None]  # weights at which it may be used
    most: Mapped[float | None]
    usual: Mapped[float | None]  # the weight that every new picture of its space has it at
    paint: Mapped[str] = mapped_column(default="", server_default=text("''"))  # settings, as /imagine's words
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


class Job(Table):
    """One request of one person and all that became of it. Its message in the chat is a view of this row."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "ix_jobs_queued", "person_id", "kind", "number", sqlite_where=WAITING, postgresql_where=WAITING
        ),
        Index("ix_jobs_trainings", "person_id", "number", sqlite_where=TRAININGS, postgresql_where=TRAININGS),
        Index(
            "ix_jobs_open_trainings", "space_id", sqlite_where=OPEN_TRAININGS, postgresql_where=OPEN_TRAININGS
        ),
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
        Index("ix_jobs_person", "person_id", "number", "space_id"),
        Index("ix_jobs_message", "message"),
        # These two have all that is asked of the jobs of a day: their rows lie far apart.
        Index(
            "ix_jobs_counted", "space_id", "counted_at", "person_id", "kind", "state", "charged", "expected"
        ),
        Index("ix_jobs_filed", "space_id", "created_at", "person_id", "kind", "state", "charged"),
        Index(
            "ix_jobs_up",
            "space_id",
            "up",
            sqlite_where=text("up IS NOT NULL"),
            postgresql_where=text("up IS NOT NULL"),
        ),
        Index(
            "ix_jobs_recipe",
            "recipe",
            sqlite_where=text("recipe IS NOT NULL"),
            postgresql_where=text("recipe IS NOT NULL"),
        ),
    )

    number: Mapped[int] = mapped_column(primary_key=True)  # the order of filing
    id: Mapped[str] = mapped_column(unique=True)  # what people see, such as k3f9qa
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    channel: Mapped[str]  # where the card is, as the chat calls it
    message: Mapped[str | None]  # the card's message, as the chat calls it; none before it was shown
    parent: Mapped[str | None]  # the id of the job that this one was made from
    kind: Mapped[str] = mapped_column(default="paint", server_default="paint")  # or "train"
    request: Mapped[dict[str, Any]]  # engine.messages.JobRequest as JSON: storage/requests.py
    state: Mapped[str] = mapped_column(default="queued")  # one of STATES; only trainings are ever drafts
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
    adult: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # created in a channel for adults
    private: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # only its person sees its channel
    expected: Mapped[float] = mapped_column(default=0.0, server_default="0")  # engine seconds, when created
    counted_at: Mapped[float | None]  # when it was queued, for what its person uses in a day
    up: Mapped[float | None]  # when an admin put it before the others of its space
    recipe: Mapped[str | None]  # the hash by which its pictures are found again: storage/recipe_keys.py


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


class PictureMark(Table):
    """By what a finished picture is known again when it comes back: storage/provenance.py."""

    __tablename__ = "picture_marks"
    __table_args__ = (
        Index("ix_picture_marks_watermark", "watermark"),
        *(Index(f"ix_picture_marks_band{number}", f"band{number}") for number in range(4)),
    )

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    watermark: Mapped[int | None] = mapped_column(BigInteger)  # the number in it, of 32 bits
    band0: Mapped[int]  # 16 bits each of its perceptual hash
    band1: Mapped[int]
    band2: Mapped[int]
    band3: Mapped[int]
    colours: Mapped[bytes]  # (8, 8, 3) of a thumbnail
    model: Mapped[str] = mapped_column(default="", server_default=text("''"))  # what painted it


class Vote(Table):
    """A reaction to a picture; a star puts it among the person's favourites."""

    __tablename__ = "votes"
    __table_args__ = (Index("ix_votes_person", "person_id", "picture_id"),)

    picture_id: Mapped[int] = mapped_column(ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), primary_key=True)
    emoji: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[float]


class LoraVote(Table):
    """A star of a picture that was painted with a LoRA, one row for each LoRA; it goes with the star."""

    __tablename__ = "lora_votes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["picture_id", "person_id", "emoji"],
            ["votes.picture_id", "votes.person_id", "votes.emoji"],
            name="fk_lora_votes_picture_id_votes",
            ondelete="CASCADE",
        ),
        Index("ix_lora_votes_space", "space_id", "sha256", "person_id"),
    )

    picture_id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(primary_key=True)
    emoji: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)  # of the LoRA
    space_id: Mapped[int]  # of the picture's job


class JobLora(Table):
    """A LoRA with which a job paints that has not ended; the row goes when it ends."""

    __tablename__ = "job_loras"
    __table_args__ = (Index("ix_job_loras_sha256", "sha256"),)

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)


class JobSource(Table):
    """A picture or mask that a job's person sent for it, which stays as long as the job does.

    Pictures that were painted here have no row: they stay as long as their own job.
    """

    __tablename__ = "job_sources"
    __table_args__ = (Index("ix_job_sources_sha256", "sha256"),)

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)


class Training(Table):
    """What a job that makes a LoRA has beside its row."""

    __tablename__ = "trainings"
    __table_args__ = (
        Index("ix_trainings_sheet", "sheet"),
        Index("ix_trainings_state", "state_sha256"),
        Index("ix_trainings_manifest", "manifest"),
    )

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str]
    trigger: Mapped[str]
    manifest: Mapped[str | None]  # the file of its pictures' names and captions, where they are many
    report: Mapped[dict[str, Any] | None]  # of its pictures: storage/trainings.py
    sheet: Mapped[str | None]  # the report's contact sheet, a JPEG in the store
    curve: Mapped[list[float]] = mapped_column(default=list)  # the loss of each step
    state_sha256: Mapped[str | None]  # where it goes on from, should the engine die
    best: Mapped[int | None]  # the step of the checkpoint that the engine would use
    chosen: Mapped[int | None]  # and of the one that its person uses
    note: Mapped[str] = mapped_column(default="")
    adapter_id: Mapped[int | None] = mapped_column(ForeignKey("adapters.id", ondelete="SET NULL"))
    consent_at: Mapped[float]  # when its person said that these pictures may be used
    finishing: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # it is to end, and be kept


class TrainingPicture(Table):
    """A stored picture that a training learns from; its name and caption are in the job's request, or
    in the manifest."""

    __tablename__ = "examples"
    __table_args__ = (Index("ix_examples_sha256", "sha256"),)

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)  # from 0
    sha256: Mapped[str]


class Checkpoint(Table):
    """A LoRA as it was after so many steps of its training; step 0 is the model without it."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_sha256", "sha256"),)

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str | None]  # its file, as long as it can be chosen
    validation: Mapped[float | None]
    candidate: Mapped[bool] = mapped_column(default=False)


class Sample(Table):
    """A picture that shows what a checkpoint paints; the PNG lies in the store."""

    __tablename__ = "samples"
    __table_args__ = (Index("ix_samples_sha256", "sha256"),)

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)  # of its prompt, from 1
    sha256: Mapped[str]


class Comparison(Table):
    """What CLIP said of a sheet on which a LoRA is compared with the model alone."""

    __tablename__ = "comparisons"
    __table_args__ = (Index("ix_comparisons_sha256", "sha256"),)

    job_number: Mapped[int] = mapped_column(ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str]  # of the LoRA, whoever may use it
    scores: Mapped[dict[str, Any]]  # {"scores": [[name, score or nothing], ...]}, as on the sheet


class Upload(Table):
    """A file that somebody sent, a picture or a LoRA; kept for a while even if nothing needs it yet.

    `space_id`: where they sent it, which it counts for; None for what the bot made for them. It is no foreign
    key, for SQLite would have to write the whole table anew to take one: storage/privacy.py empties it.
    """

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("person_id", "sha256"), Index("ix_uploads_sha256", "sha256"))

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    sha256: Mapped[str]
    at: Mapped[float]
    space_id: Mapped[int | None]
    width: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # 0 of what is no picture
    height: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    origin: Mapped[dict[str, Any] | None]  # what a picture's own file said: storage/provenance.py


class Audit(Table):
    """A change of something that was not its person's alone."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_space", "space_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id", ondelete="SET NULL"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    action: Mapped[str]
    subject: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]


class SpaceConfig(Table):
    """Settings of a space for everybody in it: storage/space_settings.py."""

    __tablename__ = "keeping"

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    rules: Mapped[dict[str, Any]] = mapped_column(default=dict)
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    queue: Mapped[str] = mapped_column(default="")  # "paused", "draining"


class Member(Table):
    """What the admins of a space have set for one person, by the key that the chat has for them.

    It outlives the person's row: who has all about them deleted stays blocked, and has used what they used.
    """

    __tablename__ = "standings"

    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    blocked_at: Mapped[float | None]
    limits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    day: Mapped[float] = mapped_column(default=0.0)  # of what jobs used that are forgotten since
    seconds: Mapped[float] = mapped_column(default=0.0)
    trainings: Mapped[int] = mapped_column(default=0)


class Refusal(Table):
    """A request that the rules or limits of a space refused; its words are not stored."""

    __tablename__ = "refusals"
    __table_args__ = (Index("ix_refusals_space", "space_id", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[float]
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id", ondelete="CASCADE"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    why: Mapped[str]
